// Two texts side by side, with marks on the parts that only one of them has: whole lines first, characters inside a line.

import { h } from "./dom.js";

const MOST_CELLS = 400_000;

// A string to sign of RPC v1 is one long line: shown broken before each parameter, which changes nothing in it.
const linesOf = (text) => (text.includes("&%2F&") ? text.split(/(?=%26)|(?<=&%2F&)/) : text.split("\n"));

// Pairs of lines, each side null where it has none; equal pairs are equal.
export function pairsOf(left, right) {
  const rows = left.length + 1;
  const columns = right.length + 1;
  if (rows * columns > MOST_CELLS) {
    return Array.from({ length: Math.max(left.length, right.length) }, (_, index) => [left[index] ?? null, right[index] ?? null]);
  }
  const longest = new Uint32Array(rows * columns);
  for (let row = left.length - 1; row >= 0; row -= 1) {
    for (let column = right.length - 1; column >= 0; column -= 1) {
      longest[row * columns + column] = left[row] === right[column]
        ? longest[(row + 1) * columns + column + 1] + 1
        : Math.max(longest[(row + 1) * columns + column], longest[row * columns + column + 1]);
    }
  }
  const pairs = [];
  let row = 0;
  let column = 0;
  let lefts = [];
  let rights = [];
  const flush = () => {
    for (let index = 0; index < Math.max(lefts.length, rights.length); index += 1) {
      pairs.push([lefts[index] ?? null, rights[index] ?? null]);
    }
    lefts = [];
    rights = [];
  };
  while (row < left.length || column < right.length) {
    if (row < left.length && column < right.length && left[row] === right[column]) {
      flush();
      pairs.push([left[row], right[column]]);
      row += 1;
      column += 1;
    } else if (column === right.length || (row < left.length && longest[(row + 1) * columns + column] >= longest[row * columns + column + 1])) {
      lefts.push(left[row]);
      row += 1;
    } else {
      rights.push(right[column]);
      column += 1;
    }
  }
  flush();
  return pairs;
}

// The line cut in three: the common beginning, the difference, the common end.
export function cutAt(line, other) {
  let begin = 0;
  while (begin < line.length && begin < other.length && line[begin] === other[begin]) begin += 1;
  let end = 0;
  while (end < line.length - begin && end < other.length - begin && line.at(-1 - end) === other.at(-1 - end)) end += 1;
  return [line.slice(0, begin), line.slice(begin, line.length - end), line.slice(line.length - end)];
}

export function sideBySide(expected, received) {
  const pairs = pairsOf(linesOf(expected), linesOf(received));
  return h("div", { class: "sides" },
    side("expected", "What the service signs", pairs.map(([line, other]) => [line, other])),
    side("received", "What the client signed", pairs.map(([other, line]) => [line, other])));
}

function side(kind, title, pairs) {
  return h("div", { class: kind }, h("h5", {}, title), h("div", { class: "diff" }, pairs.map(([line, other]) => {
    if (line === null) return h("div", {});
    if (line === other) return h("div", {}, line);
    if (other === null) return h("div", { class: "only" }, line);
    const [begin, differs, end] = cutAt(line, other);
    return h("div", { class: "only" }, begin, h("mark", {}, differs), end);
  })));
}

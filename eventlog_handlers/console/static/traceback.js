// A traceback as it is read: frames of the application in the open, those of libraries folded.

import { h } from "./dom.js";

const FRAME = /^\s*File "(.*)", line (\d+), in (.*)$/;
const LIBRARY = /[\\/](site-packages|dist-packages)[\\/]|[\\/]lib(64)?[\\/]python3?[.\d]*[\\/]|^<frozen /;
const MOST_FRAMES = 500;

// Blocks in order: {kind: "frame", file, line, function, code, library}, {kind: "raised"}, {kind: "between"}.
export function blocksOf(text) {
  const blocks = [];
  let frame = null;
  let inside = false;
  for (const line of text.split("\n")) {
    const found = FRAME.exec(line);
    if (found) {
      frame = { kind: "frame", file: found[1], line: found[2], function: found[3], code: [], library: LIBRARY.test(found[1]) };
      blocks.push(frame);
      inside = true;
    } else if (frame && /^\s/.test(line)) {
      frame.code.push(line);
    } else {
      const raised = inside && line.trim() !== "";
      blocks.push({ kind: raised ? "raised" : "between", text: line });
      if (line.startsWith("Traceback ")) inside = false;
      if (raised) inside = false;
      frame = null;
    }
  }
  return blocks;
}

export function traceback(text) {
  const blocks = blocksOf(text);
  const shown = [];
  let folded = [];
  const unfold = () => {
    if (folded.length === 0) return;
    const names = [...new Set(folded.map((frame) => libraryOf(frame.file)))].slice(0, 3).join(", ");
    const label = `${folded.length} library ${folded.length === 1 ? "frame" : "frames"}: ${names}`;
    shown.push(h("details", {}, h("summary", {}, label), folded.map(drawn)));
    folded = [];
  };
  for (const block of blocks.slice(0, MOST_FRAMES)) {
    if (block.kind === "frame" && block.library) {
      folded.push(block);
      continue;
    }
    unfold();
    shown.push(drawn(block));
  }
  unfold();
  if (blocks.length > MOST_FRAMES) shown.push(h("div", { class: "between" }, `… ${blocks.length - MOST_FRAMES} more lines: copy the traceback to read them`));
  return h("div", { class: "trace" }, shown);
}

function drawn(block) {
  if (block.kind !== "frame") return h("div", { class: block.kind }, block.text);
  const cut = Math.max(block.file.lastIndexOf("/"), block.file.lastIndexOf("\\")) + 1;
  return h("div", { class: "frame" },
    h("div", { class: "place" }, block.file.slice(0, cut), h("b", {}, `${block.file.slice(cut)}:${block.line}`), ` in ${block.function}`),
    block.code.length > 0 && h("div", { class: "code" }, block.code.join("\n")));
}

function libraryOf(file) {
  const parts = file.split(/[\\/]/);
  const at = parts.findLastIndex((part) => part === "site-packages" || part === "dist-packages");
  return (at >= 0 ? parts[at + 1] : parts.at(-1)).replace(/\.py$/, "");
}

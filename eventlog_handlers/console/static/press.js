// A row that is drawn anew between press and release would take no click. What comes by itself waits for the release.

let release = Promise.resolve();
addEventListener("pointerdown", () => {
  release = new Promise((resolve) => {
    for (const end of ["pointerup", "pointercancel", "dragend", "blur"]) addEventListener(end, () => setTimeout(resolve), { once: true });
  });
});

// Resolved once no button is pressed.
export const released = () => release;

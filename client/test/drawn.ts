/** A page that is drawn while it can be seen. */
import { beforeEach, vi } from "vitest";

/** Shows the page, or hides it. */
export type Show = (visible: boolean) => void;

/** In place of a browser's page, one for each test of the file, which can be seen at first. */
export function withPage(): Show {
  let drawn: boolean;
  let waiting: (() => void)[];
  const show: Show = (visible) => {
    drawn = visible;
    if (visible) for (const draw of waiting.splice(0)) draw();
  };
  beforeEach(() => {
    waiting = [];
    drawn = true;
    vi.stubGlobal("requestAnimationFrame", (draw: () => void) => (drawn ? draw() : waiting.push(draw)));
  });
  return show;
}

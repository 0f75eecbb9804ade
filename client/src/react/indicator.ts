/** The connection in words on the page. */
import { createElement, type HTMLAttributes, type ReactElement } from "react";
import { useConnectionNotice } from "./connection.js";
import { useTidings } from "./provider.js";

/** Properties of `ConnectionIndicator`: those of the `div` that is shown. */
export type ConnectionIndicatorProps = Omit<HTMLAttributes<HTMLDivElement>, "children">;

/**
 * Says that there is no connection and which attempt to get one this is, with a button to try now; then for 3 s that it is
 * back. While the connection is stable, nothing is shown. Screen readers are told as well: the live region is always there, and
 * empty.
 *
 * It has no style. What is shown carries the state of the connection in `data-state`, which is `connected` when it is back. For
 * other words or another language, write your own with `useConnectionNotice`.
 *
 * ```tsx
 * <ConnectionIndicator className="connection" />
 * ```
 */
export function ConnectionIndicator(props: ConnectionIndicatorProps): ReactElement {
  const client = useTidings();
  const notice = useConnectionNotice();
  const lost = notice?.kind == "lost";
  return createElement(
    "div",
    { role: "status" }, // which is aria-live="polite"
    notice &&
      createElement(
        "div",
        { ...props, "data-state": notice.state },
        lost ? `No connection${notice.attempt ? `, attempt ${notice.attempt}` : ""} ` : "Connected again",
        // It stays as long as the notice does, or who has just pressed it would lose their place on the page.
        lost && createElement("button", { type: "button", onClick: () => client.connect() }, "Try now"),
      ),
  );
}

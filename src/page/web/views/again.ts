// SPDX-License-Identifier: MIT
// What is left when the one connection of `sonde connect` has ended, or could not be made: why, and to connect again.
import type { App } from "../app";
import { el, setText } from "../dom";
import { plain } from "../text";
import "./again.css";

export interface Again {
  readonly root: HTMLElement;     // both, in a line of its own
  readonly button: HTMLElement;   // or the button elsewhere, and whoever places it says why (whyNone)
  // Who had the focus on the button when it goes is taken to `next`.
  draw(isHere: boolean, next: HTMLElement | null): void;
  connected(is: boolean): void;
}

// "" while there is a connection, or nothing is known.
export function whyNone(app: Pick<App, "talk">): string {
  if (!app.talk || app.talk.state === "connected") return "";
  return app.talk.state === "over" ? plain(app.talk.why ?? "There is no connection.") : "Connecting \u2026";
}

export function makeAgain(app: App): Again {
  let isConnected = false;
  const why = el("span");
  const button = el("button", { type: "button", class: "primary connect-again", title: "make the connection once more, to the same address",
    click: () => { if (button.getAttribute("aria-disabled") !== "true") void app.connectAgain(); } }, "Connect again");
  const root = el("p", { class: "again", hidden: true }, why, button);
  return {
    root,
    button,
    draw(isHere, next) {
      const talk = isHere ? app.talk : null;
      const isShown = talk !== null && talk.state !== "connected";
      const hadFocus = !isShown && button === document.activeElement;
      root.hidden = !isShown;
      button.hidden = !isShown || !app.can("connect");
      if (hadFocus) next?.focus();
      setText(why, whyNone(app));
      // Not `disabled`, which would drop the focus while it connects.
      button.setAttribute("aria-disabled", String(talk?.state !== "over" || !isConnected));
    },
    connected(is) { isConnected = is; },
  };
}

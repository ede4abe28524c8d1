// What an update of the index is doing, and what the last one left out.

import { reload } from "./search.js";
import { ask } from "./server.js";
import { $, plural, state } from "./state.js";

const BUSY = 2_000, IDLE = 10_000; // milliseconds between two looks
const working = $("#working"), left = $("#left-out");

const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

function rows(title, counts) {
  const entries = Object.entries(counts);
  if (!entries.length) return [];
  const heading = document.createElement("h3"), table = document.createElement("ul");
  heading.textContent = title;
  table.append(...entries.map(([what, count]) => {
    const row = document.createElement("li");
    row.textContent = `${count.toLocaleString("en")} × ${what}`;
    return row;
  }));
  return [heading, table];
}

function show({ running, done, total, types, skipped, refused }) {
  working.hidden = !running;
  if (running) {
    $("span", working).textContent = total ? `Indexing ${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : "Looking for pictures";
    const bar = $("progress", working);
    if (total) [bar.max, bar.value] = [total, done];
    else bar.removeAttribute("value");
  }
  const number = sum(types) + sum(skipped) + sum(refused);
  left.hidden = !number;
  left.textContent = `${number.toLocaleString("en")} left out`;
  $("#left-out-dialog div").replaceChildren(
    ...rows("Cannot be read", refused),
    ...rows("Types that are not read", types),
    ...rows("Not looked at", skipped),
  );
  left.setAttribute("aria-label", `${plural(number, "file")} left out: show why`);
}

export async function follow() {
  let wait = IDLE;
  if (!document.hidden) {
    try {
      const update = await ask("update");
      show(update);
      if (update.running) wait = BUSY;
      if (state.source?.version && update.version !== state.source.version) reload();
      state.info.pictures = update.pictures;
    } catch { // a server that is gone says so with the next search
    }
  }
  setTimeout(follow, wait);
}

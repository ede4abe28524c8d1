// Entry point of the page. Modules: state ← address, server, layout, tile ← list, sources ← search ← viewer, inputs, keys.

import { read } from "./address.js";
import { follow } from "./activity.js";
import "./inputs.js";
import "./keys.js";
import { open } from "./search.js";
import { ask } from "./server.js";
import { query, state } from "./state.js";

history.scrollRestoration = "manual"; // the list knows its height only after the first answer
const search = read();
const known = ask("info").then((info) => (state.info = info), () => {});
if (search.kind !== "all" || Object.keys(search.filters).length) await known; // results have a least relevance
await open(search, { address: "", y: history.state?.y ?? 0 });
addEventListener("popstate", (event) => open(read(), { address: "", y: event.state?.y ?? 0 }));
if (matchMedia("(hover: hover)").matches && !document.activeElement?.matches(".tile")) query.focus({ preventScroll: true });
follow();

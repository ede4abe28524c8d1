// Entry point of the page. Modules: state ← filters ← server, grid ← search ← viewer, inputs ← keys.

import { setFilters } from "./filters.js";
import { setLevel } from "./inputs.js";
import "./keys.js";
import { searchSimilar, searchWords } from "./search.js";
import { ask } from "./server.js";
import { query, state } from "./state.js";

const wanted = new URLSearchParams(location.search);
state.info = await ask("info").catch(() => state.info);
setLevel(100 * (state.info.min_relevance ?? 0));
setFilters(Object.fromEntries(wanted));
query.value = wanted.get("q") ?? "";
if (wanted.get("like")) searchSimilar(wanted.get("like"));
else searchWords();
if (matchMedia("(hover: hover)").matches) query.focus();

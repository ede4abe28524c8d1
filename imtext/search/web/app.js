// The page: what is typed, dropped or clicked becomes one request; its answer becomes the grid.

const PAGE = 60; // pictures of one request
const MOST = 300; // of one search
const PAUSE = 130; // ms without a key before a search begins

const $ = (selector, within = document) => within.querySelector(selector);
const query = $("#query"), slider = $("#relevance"), grid = $("#grid"), status = $("#status"), viewer = $("#viewer");
const nothing = $("#nothing"), like = $("#like"), dropZone = $("#drop");

let info = { pictures: 0, min_relevance: null };
let mode = { kind: "all" }; // all | words: text | like: id | upload: file
let found = []; // results of the last answer
let shown = []; // those the slider lets through
let complete = false; // is there nothing further to load?
let current = -1; // the one in the viewer
let controller = new AbortController();
let focusGrid = false; // shall the first result have the focus once it is there?

class Refusal extends Error {}

async function ask(path, options = {}) {
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(path, options);
    if (answer.ok) return answer.json();
    const problem = await answer.json().catch(() => ({ detail: answer.statusText }));
    if (answer.status !== 503 || attempt === 3) throw new Refusal(problem.detail);
    await new Promise((done) => setTimeout(done, 300 + 500 * attempt * Math.random()));
  }
}

async function load(next = mode, more = false) {
  controller.abort();
  controller = new AbortController();
  mode = next;
  const { signal } = controller;
  const count = more ? Math.min(found.length + PAGE, MOST) : PAGE;
  grid.setAttribute("aria-busy", "true");
  try {
    let answer;
    if (mode.kind === "words") answer = await ask(`search?${new URLSearchParams({ q: mode.text, top_k: count })}`, { signal });
    else if (mode.kind === "like") answer = await ask(`search?${new URLSearchParams({ like: mode.id, top_k: count })}`, { signal });
    else if (mode.kind === "upload") answer = await ask(`search/image?top_k=${count}`, { signal, method: "POST", body: mode.file, headers: { "content-type": "application/octet-stream" } });
    else answer = await ask(`images?${new URLSearchParams({ offset: more ? found.length : 0, limit: PAGE })}`, { signal });
    const before = found.length;
    found = mode.kind === "all" && more ? [...found, ...answer.results] : answer.results;
    // A page of all may be short: a picture of it may have gone a moment ago.
    complete = mode.kind === "all" ? found.length >= answer.total || !answer.results.length : count >= MOST || answer.results.length < count || (more && answer.results.length === before);
    info.pictures = answer.total;
    render(answer, more);
    focusFirst();
  } catch (error) {
    if (signal.aborted) return;
    complete = mode.failed = true;
    if (more) return; // what was found stays
    found = [];
    render(null, false);
    explain("That did not work", error instanceof Refusal ? error.message : "The server does not answer. Is it still running?", false);
  } finally {
    if (!signal.aborted) grid.setAttribute("aria-busy", "false");
  }
}

const percent = (value) => `${Math.round(100 * value)} %`;
const level = (value) => (value >= 0.5 ? "high" : value >= 0.2 ? "fair" : "low");

function tile(result, place) {
  const item = $("#tile").content.firstElementChild.cloneNode(true);
  const badge = $(".badge", item), button = $("button", item);
  $("img", item).src = `thumbnails/${result.id}`;
  $(".caption", item).textContent = result.name;
  if (result.relevance !== null) {
    badge.textContent = percent(result.relevance);
    badge.dataset.level = level(result.relevance);
  }
  button.setAttribute("aria-label", `${result.name}${result.relevance === null ? "" : `, ${percent(result.relevance)} relevant`}`);
  button.dataset.place = place;
  return item;
}

function render(answer, keep) {
  const calibrated = found.some((one) => one.relevance !== null);
  $(".relevance").toggleAttribute("data-off", !calibrated);
  slider.disabled = !calibrated;
  shown = calibrated ? found.filter((one) => one.relevance >= slider.value / 100) : found;
  if (calibrated && shown.length < found.length) complete = true; // all further ones are even less likely
  const old = keep ? [...grid.children] : [];
  const focused = document.activeElement?.closest?.("#grid button")?.dataset.place;
  // What stands there already stays, so that nothing flickers and the focus is not lost.
  grid.replaceChildren(...shown.map((one, place) => (old[place] && $("img", old[place]).src.endsWith(one.id) ? old[place] : tile(one, place))));
  if (keep && focused !== undefined) grid.children[focused]?.firstElementChild.focus();
  nothing.hidden = shown.length > 0;
  if (!shown.length && mode.kind === "all") explain("Nothing is indexed yet", "imtext index ~/Pictures fills this page; no need to start the server again.", false);
  else if (!shown.length) explain("No good match", `Nothing here is ${slider.value} % likely to be what you describe.`, found.length > 0);
  if (answer) say(answer);
  if (!keep) window.scrollTo({ top: 0 });
  watchEnd();
}

function say(answer) {
  const total = answer.total.toLocaleString();
  const parts = mode.kind === "all"
    ? [`${total} picture${answer.total === 1 ? "" : "s"}`]
    : [`${shown.length}${complete || shown.length < found.length ? "" : "+"} of ${total} pictures`, `${answer.milliseconds.toFixed(0)} ms`];
  if (answer.unknown_words.length) parts.push(`not in the model's vocabulary: ${answer.unknown_words.join(", ")}`);
  status.textContent = parts.join(" · ");
}

function explain(title, text, anyway) {
  $("h2", nothing).textContent = title;
  $("p", nothing).textContent = text;
  $("#anyway").hidden = !anyway;
  nothing.hidden = false;
  if (title !== "No good match") status.textContent = "";
}

// ---- asking

function remember() {
  const words = mode.kind === "words" ? `?${new URLSearchParams({ q: mode.text })}` : mode.kind === "like" ? `?${new URLSearchParams({ like: mode.id })}` : "./";
  if (words !== location.search || words === "./") history.replaceState(null, "", words);
  document.title = mode.kind === "words" ? `${mode.text} – imtext` : "imtext";
}

function choose(next, picture) {
  like.hidden = !picture;
  if (picture) {
    query.value = "";
    URL.revokeObjectURL($("img", like).src); // of the file dropped before
    $("img", like).src = picture;
  }
  if (viewer.open) viewer.close();
  load(next);
  remember();
}

const byWords = () => {
  clearTimeout(pause);
  const text = query.value.trim();
  if (text === (mode.text ?? "") && mode.kind !== "like" && mode.kind !== "upload" && !mode.failed) return;
  choose(text ? { kind: "words", text } : { kind: "all" });
};
let pause;
query.addEventListener("input", () => {
  focusGrid = false;
  clearTimeout(pause);
  pause = setTimeout(byWords, PAUSE);
});
$("#form").addEventListener("submit", (event) => {
  event.preventDefault();
  byWords();
  focusGrid = true;
  if (grid.getAttribute("aria-busy") !== "true") focusFirst();
});
function focusFirst() {
  if (focusGrid) $("#grid button")?.focus();
  focusGrid = false;
}
const byLike = (id) => {
  focusGrid = true;
  choose({ kind: "like", id }, `thumbnails/${id}`);
};
const byFile = (file) => {
  if (!file) return;
  if (file.size > 20_000_000) {
    explain("The picture is too large", "20 MB is the limit.", false);
    return;
  }
  choose({ kind: "upload", file }, URL.createObjectURL(file));
};
$("button", like).addEventListener("click", () => {
  choose({ kind: "all" });
  query.focus();
});
$("#file").addEventListener("change", (event) => {
  byFile(event.target.files[0]);
  event.target.value = "";
});
addEventListener("paste", (event) => byFile([...event.clipboardData.files].find((file) => file.type.startsWith("image/"))));
let depth = 0; // of nested elements a dragged file is over
addEventListener("dragenter", (event) => {
  if (event.dataTransfer.types.includes("Files")) dropZone.hidden = (depth += 1) < 1;
});
addEventListener("dragleave", () => {
  depth = Math.max(0, depth - 1);
  dropZone.hidden = depth < 1;
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  dropZone.hidden = true;
  byFile([...event.dataTransfer.files].find((file) => file.type.startsWith("image/")));
});

// ---- the slider

const label = () => ($("#level").textContent = `${slider.value} %`);
slider.addEventListener("input", () => {
  label();
  complete = found.length >= MOST;
  render(null, false);
  if (mode.kind !== "all") status.textContent = status.textContent.replace(/^\d+\+?/, shown.length);
});
$("#anyway").addEventListener("click", () => {
  slider.value = 0;
  slider.dispatchEvent(new Event("input"));
});

// ---- more while scrolling

const end = new IntersectionObserver((entries) => {
  if (entries[0].isIntersecting && !complete && found.length && grid.getAttribute("aria-busy") !== "true") load(mode, true);
}, { rootMargin: "600px" });
function watchEnd() {
  end.disconnect(); // observing anew tells again where the end is
  end.observe($("#more"));
}

// ---- one picture

function view(place) {
  current = Math.max(0, Math.min(place, shown.length - 1));
  const one = shown[current];
  const image = $("img", viewer);
  image.src = `thumbnails/${one.id}?size=1600`;
  image.alt = one.name;
  $(".file", viewer).textContent = one.name;
  const figures = [];
  if (one.relevance !== null) figures.push(`${percent(one.relevance)} relevant`);
  if (one.score !== null) figures.push(`similarity ${one.score.toFixed(3)}`);
  if (one.copies) figures.push(`${one.copies} more cop${one.copies === 1 ? "y" : "ies"}`);
  $(".figures", viewer).textContent = figures.join(" · ");
  $("a", viewer).href = `images/${one.id}`;
  $(".previous", viewer).hidden = current === 0;
  $(".next", viewer).hidden = current === shown.length - 1;
  if (!viewer.open) viewer.showModal();
}
const actions = {
  previous: () => view(current - 1),
  next: () => view(current + 1),
  close: () => viewer.close(),
  similar: () => byLike(shown[current].id),
  copy: async (button) => {
    try {
      await navigator.clipboard.writeText(shown[current].name);
      button.textContent = "Copied";
    } catch { // refused, or not offered without encryption
      button.textContent = "Not allowed here";
    }
    setTimeout(() => (button.textContent = "Copy name"), 1200);
  },
};
viewer.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) actions[button.dataset.do](button);
  else if (event.target.matches("figure, figure img")) viewer.close();
});
viewer.addEventListener("close", () => grid.children[current]?.firstElementChild.focus());
grid.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) view(Number(button.dataset.place));
});

// ---- keys

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input");
  if (viewer.open) {
    const action = { ArrowLeft: "previous", ArrowRight: "next", s: "similar" }[event.key];
    if (action && !(action === "previous" && current === 0) && !(action === "next" && current === shown.length - 1)) {
      event.preventDefault();
      actions[action]();
    }
    return;
  }
  if (event.key === "/" && !typing) {
    event.preventDefault();
    query.select();
    query.focus();
  } else if (event.key === "Escape") {
    query.value = "";
    choose({ kind: "all" });
    query.focus();
  } else if (event.target === query && event.key === "ArrowDown") {
    event.preventDefault();
    $("#grid button")?.focus();
  } else if (event.target.matches("#grid button")) {
    const place = Number(event.target.dataset.place);
    const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -place, End: shown.length - 1 - place }[event.key];
    if (event.key === "s") byLike(shown[place].id);
    else if (step !== undefined) {
      event.preventDefault();
      if (place + step < 0 && event.key === "ArrowUp") query.focus();
      else grid.children[place + step]?.firstElementChild.focus();
    }
  }
});

// ---- beginning

const wanted = new URLSearchParams(location.search);
info = await ask("info").catch(() => info);
slider.value = Math.round(100 * (info.min_relevance ?? 0));
label();
if (wanted.get("q")) {
  query.value = wanted.get("q");
  byWords();
} else if (wanted.get("like")) byLike(wanted.get("like"));
else load();
if (matchMedia("(hover: hover)").matches) query.focus();

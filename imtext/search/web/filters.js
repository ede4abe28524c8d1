// Filters beside the words: a form to add them, and a chip for each active one to take it away.

import { FILTERS } from "./address.js";
import { $ } from "./state.js";

const panel = $("#filters"), form = $("form", panel), chips = $("#chips");

const CHIPS = {
  after: (value) => `From ${value}`,
  before: (value) => `Before ${value}`,
  in: (value) => `Folder ${value}`,
  camera: (value) => `Camera ${value}`,
  orientation: (value) => value[0].toUpperCase() + value.slice(1),
  min_size: (value) => `At least ${value}`,
  near: (value, { within }) => `Within ${within || "25km"} of ${value}`,
  sort: () => "Newest first",
};

let active = {};

function chip(name) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.name = name;
  button.textContent = CHIPS[name](active[name], active);
  button.setAttribute("aria-label", `Remove filter: ${button.textContent}`);
  const item = document.createElement("li");
  item.append(button);
  return item;
}

export function showFilters(filters) {
  active = filters;
  for (const field of form.elements) if (field.name) field.value = filters[field.name] ?? "";
  chips.replaceChildren(...Object.keys(CHIPS).filter((name) => filters[name]).map(chip));
}

export function onFilters(search) {
  const apply = () => {
    const given = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
    if (FILTERS.some((name) => (given[name] ?? "") !== (active[name] ?? ""))) search(given);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    panel.open = false;
    apply();
  });
  $("[type=reset]", form).addEventListener("click", () => {
    panel.open = false;
    if (Object.keys(active).length) search({});
  });
  chips.addEventListener("click", (event) => {
    const name = event.target.closest("button")?.dataset.name;
    if (!name) return;
    const { [name]: _, ...others } = active;
    if (name === "near") delete others.within;
    search(others);
    ($("button", chips) ?? $("summary", panel)).focus(); // the chip is gone
  });
  addEventListener("click", (event) => {
    if (panel.open && !panel.contains(event.target)) panel.open = false;
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !panel.open) return;
    event.stopPropagation();
    panel.open = false;
    $("summary", panel).focus();
  });
}

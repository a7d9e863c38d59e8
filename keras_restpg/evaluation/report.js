// The browser of samples: what is chosen stands in the address, so that every
// view can be linked. Texts reach the page as text alone, never as markup.
"use strict";

let data;
const root = document.getElementById("browser");
const LISTED = 200; // rows of the list at once
const COMPARED = 1500; // words of a text whose differences are marked
const ORDERS = {
  best: "best first",
  worst: "worst first",
  gain: "most gained first",
  loss: "most lost first",
  random: "random",
};
const view = {
  task: "", user: "", low: "0", high: "1", order: "best", seed: "1",
  a: "", b: "", example: "",
};

function make(tag, text, values = {}, ...children) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  for (const name in values) node.setAttribute(name, values[name]);
  node.append(...children);
  return node;
}

function reward(example, model) {
  return data.outputs[model][example][1];
}

function drawn(place) {
  // A fixed order that looks like none, for each seed.
  let x = (place + 1) * 2654435761 ^ Number(view.seed) * 40503;
  x = Math.imul(x ^ (x >>> 15), 2246822519);
  return (x ^ (x >>> 13)) >>> 0;
}

function chosen() {
  const low = Number(view.low) - 1e-9, high = Number(view.high) + 1e-9;
  const found = data.examples.map((_, place) => place).filter((place) => {
    const example = data.examples[place], value = reward(place, view.a);
    return (!view.task || example.task === view.task)
      && example.user.includes(view.user)
      && value >= low && value <= high;
  });
  const gain = (place) =>
    reward(place, view.a) - (view.b === "" ? 0 : reward(place, view.b));
  const by = {
    best: (place) => -reward(place, view.a),
    worst: (place) => reward(place, view.a),
    gain: (place) => -gain(place),
    loss: gain,
    random: drawn,
  }[view.order];
  const keys = new Map(found.map((place) => [place, by(place)]));
  return found.sort((x, y) => keys.get(x) - keys.get(y) || x - y);
}

// Words of two texts with whether the other one has them in the same order:
// the longest common subsequence.
function differences(left, right) {
  const x = left.split(/(\s+)/), y = right.split(/(\s+)/);
  if (x.length > 2 * COMPARED || y.length > 2 * COMPARED) return null;
  const width = y.length + 1;
  const table = new Uint16Array((x.length + 1) * width);
  for (let i = x.length - 1; i >= 0; i--) {
    for (let j = y.length - 1; j >= 0; j--) {
      table[i * width + j] = x[i] === y[j]
        ? table[(i + 1) * width + j + 1] + 1
        : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  const marks = [[], []];
  let i = 0, j = 0;
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i] === y[j]) {
      marks[0].push([x[i++], false]);
      marks[1].push([y[j++], false]);
    } else if (j >= y.length || (i < x.length
        && table[(i + 1) * width + j] >= table[i * width + j + 1])) {
      marks[0].push([x[i++], true]);
    } else {
      marks[1].push([y[j++], true]);
    }
  }
  return marks;
}

function text(title, body, marks) {
  const block = make("div", "", { class: "text", dir: "auto" });
  if (marks) {
    for (const [word, differs] of marks) {
      block.append(differs && word.trim() ? make("mark", word) : word);
    }
  } else {
    block.textContent = body;
  }
  return make("div", "", {}, make("h4", title), block);
}

function detail(place) {
  const example = data.examples[place];
  const models = [...new Set([view.b, view.a].filter((m) => m !== ""))];
  const outputs = models.map((model) => data.outputs[model][place]);
  const marks = models.length === 2
    ? differences(outputs[0][0], outputs[1][0]) : null;
  const written = models.map((model, side) => {
    const [body, value, reason, reasoning] = outputs[side];
    const why = reason ? ` (${reason})` : "";
    const title = `${data.models[model]}, reward ${value.toFixed(2)}${why}`;
    const node = text(title, body, marks && marks[side]);
    if (reasoning) {
      node.append(make("details", "", {}, make("summary", "its reasoning"),
        make("div", reasoning, { class: "text", dir: "auto" })));
    }
    return node;
  });
  const node = make("div", "", {},
    make("h3", `${example.task} · ${example.user} · ${example.id}`),
    text("prompt", example.prompt),
    text("the user wrote", example.expected),
    make("div", "", { class: "beside" }, ...written));
  for (const [titles, numbers] of example.read) {
    const prompt = titles ? `the prompt of ${titles}` : "the prompt";
    if (numbers === null) {
      const lost = `Which documents stood in ${prompt} was not noted.`;
      node.append(make("p", lost));
      continue;
    }
    node.append(make("details", "", {},
      make("summary", `documents in ${prompt}: ${numbers.length}`),
      ...numbers.map((number) =>
        make("div", data.documents[number], { class: "text", dir: "auto" }))));
  }
  return node;
}

function choice(name, title, options) {
  const select = make("select", "", { id: `choose-${name}` });
  for (const [value, label] of options) {
    const option = make("option", label, { value });
    option.selected = value === view[name];
    select.append(option);
  }
  select.addEventListener("change", () => go({ [name]: select.value }));
  return make("label", `${title} `, {}, select);
}

function entry(name, title, values) {
  const input = make("input", "", {
    ...values, value: view[name], id: `enter-${name}`,
  });
  input.addEventListener("change", () => go({ [name]: input.value }));
  return make("label", `${title} `, {}, input);
}

function controls() {
  const tasks = [...new Set(data.examples.map((each) => each.task))].sort();
  const named = data.models.map((title, place) => [String(place), title]);
  const share = { type: "number", min: 0, max: 1, step: 0.05 };
  const again = make("button", "draw again", { type: "button" });
  again.addEventListener("click", () =>
    go({ order: "random", seed: String(Number(view.seed) + 1) }));
  const form = make("form", "", { class: "controls" },
    choice("task", "task", [["", "all"], ...tasks.map((x) => [x, x])]),
    entry("user", "user", { type: "search", size: 12 }),
    choice("a", "model", named),
    choice("b", "beside", [["", "none"], ...named]),
    entry("low", "reward from", share), entry("high", "to", share),
    choice("order", "order", Object.entries(ORDERS)), again);
  form.addEventListener("submit", (event) => event.preventDefault());
  return form;
}

function show(focus) {
  const found = chosen();
  const wanted = data.examples.findIndex((each) => each.id === view.example);
  const place = found.includes(wanted) ? wanted : found[0];
  const list = make("ol", "", { class: "list", "aria-label": "samples" });
  const at = Math.max(0, found.indexOf(place));
  const first = Math.max(0, Math.min(at - LISTED / 2, found.length - LISTED));
  for (const each of found.slice(first, first + LISTED)) {
    const example = data.examples[each];
    const link = make("a", `${reward(each, view.a).toFixed(2)} ${example.id}`,
      { href: address({ example: example.id }) });
    if (each === place) link.setAttribute("aria-current", "true");
    list.append(make("li", "", {}, link));
  }
  const step = (by, title) => {
    const button = make("button", title, { type: "button", id: `step${by}` });
    const next = found[at + by];
    button.disabled = next === undefined;
    button.addEventListener("click", () =>
      go({ example: data.examples[next].id }, `step${by}`));
    return button;
  };
  const count = `${found.length ? at + 1 : 0} of ${found.length}`;
  root.replaceChildren(controls(),
    make("p", "", { class: "steps" }, step(-1, "← previous"),
      make("span", ` ${count} `, { role: "status" }), step(1, "next →")),
    make("div", "", { class: "browsed" }, list,
      found.length ? detail(place) : make("p", "No sample is like that.")));
  // In the list's own frame: the page stays where it is.
  const current = list.querySelector("[aria-current]");
  if (current) {
    list.scrollTop = current.offsetTop - list.offsetTop - list.clientHeight / 2;
  }
  const focused = focus && document.getElementById(focus);
  if (focused) focused.focus({ preventScroll: true });
}

function address(changes) {
  return "#" + new URLSearchParams({ ...view, ...changes });
}

function go(changes, focus) {
  Object.assign(view, changes);
  const active = document.activeElement;
  history.replaceState(null, "", address({}));
  show(focus || (active && active.id));
}

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name in view) {
    if (given.has(name)) view[name] = given.get(name);
  }
  // A link from another report may name what is not here.
  if (!data.models[view.a]) view.a = "0";
  if (view.b !== "" && !data.models[view.b]) view.b = "";
  if (!ORDERS[view.order]) view.order = "best";
}

async function begin() {
  const text = atob(document.getElementById("data").textContent);
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const whole = new Blob([bytes]).stream()
    .pipeThrough(new DecompressionStream("gzip"));
  data = await new Response(whole).json();
  view.a = String(data.models.length - 1);
  view.b = data.models.length > 1 ? "0" : "";
  document.addEventListener("keydown", (event) => {
    const step = { j: "step1", k: "step-1" }[event.key];
    if (!step || /INPUT|SELECT/.test(event.target.tagName)) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    document.getElementById(step).click();
  });
  window.addEventListener("hashchange", () => { read(); show(); });
  read();
  show();
  if (location.hash) root.scrollIntoView();
}

begin();

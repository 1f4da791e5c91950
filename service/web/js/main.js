// The shell: which view is shown, the API key, what runs here.
//
// A view is a module that exports `mount(root, app)`. It is called once, when the view is first
// shown, with an empty <section> that stays in the page (hidden while another view is shown), so
// that nothing typed is lost. It may return `{ shown(params) }`, called each time it is shown,
// after `mount` too; `params` is the URLSearchParams behind `#view?`. `app` is:
//
//   api       an Api: `get`, `post`, `json`, `send`, and `stream` for server-sent events
//   groups    a GroupStore: the groups that were loaded; `subscribe` to hear of changes
//   limits    the caps of the service as /version tells them, or null until it is known
//   chosen    the ids of the groups chosen in a picker, shared by the views; see group_picker.js
//   announce(text)       says it to screen readers, politely
//   go(view, params)     shows a view: app.go("predict", { groups: "a,b" }). The views that ask take
//                        `groups` and what is asked: Predict `question` and `options` (one a line),
//                        Generate `prompt`
//   rename(view, params) makes this the address of what is shown, in place of the one it has
//   guard(mayLeave)      asked before the page is left; `mayLeave()` false: there is unsaved work
//   askForKey()          opens the field for the API key

import { addressFor, readAddress } from "./address.js";
import { Api, ApiError } from "./api.js";
import { problemNotice } from "./busy.js";
import { fill, h } from "./dom.js";
import { GroupStore } from "./groups_store.js";
import { keyDialog } from "./key.js";

const VIEWS = [
  { id: "groups", title: "Groups", load: (query) => import(`./views/groups.js${query}`) },
  { id: "predict", title: "Predict", load: (query) => import(`./views/predict.js${query}`) },
  { id: "generate", title: "Generate", load: (query) => import(`./views/generate.js${query}`) },
  { id: "what-if", title: "What if", load: (query) => import(`./views/what_if.js${query}`) },
];

const main = document.getElementById("main");
const banner = document.getElementById("banner");
const live = document.getElementById("live");
const api = new Api();
const guards = [];
let routes = 0; // what an earlier one waited for may come when another view is read
let connections = 0;
// Another key may be another tenant's: nothing of the one before may stay in the page.
const dialog = keyDialog(api, (before) => (before ? reload() : connect()));

const app = {
  api,
  groups: new GroupStore(api),
  limits: null,
  chosen: new Set(),
  announce(text) {
    live.textContent = "";
    // The same words twice are said twice only if the region was empty in between.
    requestAnimationFrame(() => (live.textContent = text));
  },
  go(view, params = {}) {
    location.hash = addressFor(view, params);
  },
  rename(view, params = {}) {
    history.replaceState(null, "", `#${addressFor(view, params)}`);
  },
  guard: (mayLeave) => guards.push(mayLeave),
  askForKey: () => dialog.open(),
};

const tabs = VIEWS.map((view) => {
  const link = h("a", { href: `#${view.id}` }, view.title);
  document.getElementById("views").append(h("li", {}, link));
  return { ...view, link, section: null, ready: null, mounted: null };
});

function reload() {
  api.handOver();
  location.reload();
}

/** Show the view that the address names; the first one for none. An unknown one changes nothing. */
async function route({ focus = true } = {}) {
  let { view, params } = readAddress();
  if (!tabs.some((one) => one.id === view)) {
    if (view && tabs.some((one) => one.section)) return;
    if (view) params = new URLSearchParams(); // they were for another view
    view = tabs[0].id;
  }
  const tab = tabs.find((one) => one.id === view);
  for (const other of tabs) {
    if (other.section) other.section.hidden = other !== tab;
    if (other === tab) other.link.setAttribute("aria-current", "page");
    else other.link.removeAttribute("aria-current");
  }
  document.title = `${tab.title} · gpo-serve`;
  const mine = ++routes;
  if (!tab.section) {
    tab.section = h("section", { class: `view view-${tab.id}`, "aria-label": tab.title });
    main.append(tab.section);
  }
  try {
    tab.ready ??= load(tab);
    await tab.ready;
  } catch (error) {
    tab.ready = null; // the next one tries again
    console.error(error);
    fill(tab.section, unloaded(tab));
    return;
  }
  if (mine !== routes) return; // that one calls `shown`, with its own address
  tab.mounted?.shown?.(params);
  // So that a screen reader begins with the new view, and the next Tab is inside it.
  if (focus) main.focus({ preventScroll: true });
}

/** The browser remembers that a module could not be had: another try needs another address. */
async function load(tab) {
  tab.tries = (tab.tries ?? 0) + 1;
  const module = await tab.load(tab.tries > 1 ? `?try=${tab.tries}` : "");
  fill(tab.section);
  tab.mounted = module.mount(tab.section, app);
}

/** In the place of a view of which a part did not come. */
function unloaded(tab) {
  // For a module that the view itself imports there is no other address: only a reload helps.
  const again =
    tab.tries > 1
      ? h("button", { type: "button", on: { click: reload } }, "Reload the page")
      : h("button", { type: "button", on: { click: () => route() } }, "Try again");
  const said = `The view ${tab.title} could not be loaded. Is the service still running?`;
  return h("div", { class: "notice bad", role: "alert" }, h("p", {}, said), again);
}

/** Find out whether a key is needed and what runs here; nothing is asked that would be refused. */
async function connect() {
  const mine = ++connections;
  fill(banner);
  try {
    const ready = await readiness();
    if (mine !== connections) return; // a key was entered meanwhile
    if (!ready.components && !api.key) {
      fill(banner, problemNotice(new ApiError(401), app));
      return;
    }
    if (ready.status !== "ready") fill(banner, problemNotice(new ApiError(503), app));
    const about = await api.get("version");
    if (mine !== connections) return;
    app.limits = about.limits;
    fill(
      document.getElementById("about"),
      `gpo-serve ${about.version} · language model ${about.generator} · module ${about.scorer}`,
    );
    document.getElementById("docs-link").hidden = Boolean(api.key); // a link sends no key
    await app.groups.reload();
  } catch (error) {
    if (mine === connections) fill(banner, problemNotice(error, app));
  }
}

/** /readyz says what is the matter with 503, which is an answer here. */
async function readiness() {
  try {
    return await api.get("readyz");
  } catch (error) {
    if (error.status === 503 && error.problem.status) return error.problem;
    throw error;
  }
}

document.getElementById("key-button").addEventListener("click", () => dialog.open());
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part behind # names a view here
  main.focus();
});
window.addEventListener("hashchange", () => route());
window.addEventListener("beforeunload", (event) => {
  if (guards.some((mayLeave) => !mayLeave())) event.preventDefault();
});

route({ focus: false });
connect();

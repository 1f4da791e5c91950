// The groups as far as they were loaded, page by page in the order of their ids; for all views.

const PAGE = 100;

export class GroupStore {
  #api;
  #groups = new Map();
  #cursor = null;
  #listeners = new Set();
  #begun = 0; // a page that belongs to an earlier beginning is dropped
  #underway = new Set(); // for each page on its way, what was saved and deleted meanwhile

  /** `loaded`: whether the first page has come, so that none means none. */
  loaded = false;
  hasMore = false;

  #first = Promise.withResolvers();

  constructor(api) {
    this.#api = api;
  }

  /** The summaries, in the order of their ids. */
  get all() {
    return [...this.#groups.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** The summary of one that is loaded, else undefined. */
  get(id) {
    return this.#groups.get(id);
  }

  /** Its name, or the id of one that is not loaded. */
  nameOf(id) {
    return this.#groups.get(id)?.name ?? id;
  }

  /** Call `listener` after every change; the answer ends that. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves once the first page has come. */
  whenLoaded() {
    return this.#first.promise;
  }

  /** Begin again with the first page. Throws ApiError. */
  async reload() {
    this.#begun += 1;
    await this.#load(`groups?limit=${PAGE}`, () => this.#groups.clear());
  }

  /** The next page. Throws ApiError. */
  async more() {
    if (!this.#cursor) return;
    await this.#load(`groups?limit=${PAGE}&cursor=${encodeURIComponent(this.#cursor)}`);
  }

  /** Ask for one by its id, which may be on no page yet. Throws ApiError. */
  async find(id, signal) {
    const group = await this.#api.get(`groups/${encodeURIComponent(id)}`, { signal });
    this.put(group);
    return group;
  }

  /** Keep what the service said of a group. */
  put(group) {
    const { preferences, ...summary } = group;
    this.#groups.set(group.id, summary);
    for (const news of this.#underway) news.set(group.id, summary);
    this.#tell();
  }

  /** Forget one that was deleted. */
  remove(id) {
    this.#groups.delete(id);
    for (const news of this.#underway) news.set(id, null);
    this.#tell();
  }

  async #load(path, prepare = () => {}) {
    const mine = this.#begun;
    const news = new Map();
    this.#underway.add(news);
    try {
      const page = await this.#api.get(path);
      if (mine !== this.#begun) return;
      prepare();
      this.#take(page, news);
    } finally {
      this.#underway.delete(news);
    }
  }

  /** A page may be older than what was saved or deleted while it was on its way. */
  #take(page, news) {
    for (const group of page.data) this.#groups.set(group.id, group);
    for (const [id, group] of news) {
      if (group === null) this.#groups.delete(id);
      else if (!(this.#groups.get(id)?.version > group.version)) this.#groups.set(id, group);
    }
    this.#cursor = page.next_cursor;
    this.hasMore = page.has_more;
    this.loaded = true;
    this.#first.resolve();
    this.#tell();
  }

  #tell() {
    for (const listener of this.#listeners) listener();
  }
}

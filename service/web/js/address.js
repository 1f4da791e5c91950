// The address behind #: `view?params`, and what of it a view has read before.

/** `{ view, params }` of the address; the view is "" where none is named. */
export function readAddress() {
  const [view, ...rest] = location.hash.slice(1).split("?"); // a question may have a ? of its own
  return { view, params: new URLSearchParams(rest.join("?")) };
}

/** What stands behind # for a view and its parameters. */
export function addressFor(view, params = {}) {
  const query = new URLSearchParams(params).toString();
  return query ? `${view}?${query}` : view;
}

const LOADED = performance.timeOrigin; // a mark of before a reload counts no more: the forms are empty

/**
 * For a view with a form that its address fills in: a function from `params` to those that are to
 * be filled in now, none where the form had them before. So Back leaves what was typed since; a
 * link that is followed anew fills the form anew.
 */
export function onlyNews() {
  let last = "";
  return (params) => {
    const text = params.toString();
    if (!text) return params;
    const wasRead = history.state?.read === LOADED && text === last;
    last = text;
    history.replaceState({ read: LOADED }, "");
    return wasRead ? new URLSearchParams() : params;
  };
}

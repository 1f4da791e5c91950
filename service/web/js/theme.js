// The colours: those of the system, or the ones chosen. Runs before the first paint, so it is no module.
(() => {
  const KEY = "gpo-theme";
  const NEXT = { system: "light", light: "dark", dark: "system" };
  const root = document.documentElement;
  let kept = null; // where storage is forbidden, the choice lives as long as the page

  function chosen() {
    if (kept) return kept;
    try {
      const found = localStorage.getItem(KEY);
      return found in NEXT ? found : "system";
    } catch {
      return "system"; // storage may be forbidden
    }
  }

  function show(theme) {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    const button = document.getElementById("theme-button");
    if (button) button.textContent = `Colours: ${theme === "system" ? "auto" : theme}`;
  }

  show(chosen());
  document.addEventListener("DOMContentLoaded", () => {
    show(chosen());
    document.getElementById("theme-button").addEventListener("click", () => {
      const theme = NEXT[chosen()];
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        kept = theme;
      }
      show(theme);
    });
  });
})();

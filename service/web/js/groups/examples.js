// The two invented groups of `gpo demo`, for a service that has none yet, with what to ask them.

const FILES = ["city-tenants.json", "small-landlords.json"];

export const QUESTION = {
  question:
    "Would you support or oppose a law that limits how much landlords may raise the rent each year?",
  options: ["Support", "Oppose"],
};
export const PROMPT = "Should the government put a limit on rent?";

/**
 * Register both; those that exist stay as they are. Returns them. Throws ApiError.
 *
 * The store does not know them yet: with the first one it would offer what to do next, and whoever
 * did it would be called back when the second one is there.
 */
export async function registerExamples(app, signal) {
  const groups = [];
  for (const file of FILES) {
    const group = await app.api.get(`web/example-groups/${file}`, { signal });
    try {
      groups.push(await app.api.post("groups", group, { signal }));
    } catch (error) {
      if (error.code !== "group_exists") throw error;
      groups.push(await app.api.get(`groups/${encodeURIComponent(group.id)}`, { signal }));
    }
  }
  return groups;
}

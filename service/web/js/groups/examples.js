// The two invented groups of `gpo demo`, for a service that has none yet, with what to ask them.

const FILES = ["city-tenants.json", "small-landlords.json"];

export const QUESTION = {
  question:
    "Would you support or oppose a law that limits how much landlords may raise the rent each year?",
  options: ["Support", "Oppose"],
};
export const PROMPT = "Should the government put a limit on rent?";

/** Register both; those that exist stay as they are. Returns their ids. Throws ApiError. */
export async function loadExamples(app, signal) {
  const ids = [];
  for (const file of FILES) {
    const group = await app.api.get(`web/example-groups/${file}`, { signal });
    try {
      app.groups.put(await app.api.post("groups", group, { signal }));
    } catch (error) {
      if (error.code !== "group_exists") throw error;
      await app.groups.find(group.id);
    }
    ids.push(group.id);
  }
  return ids;
}

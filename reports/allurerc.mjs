// How the HTML of one run looks; render.mjs says which run by REDRILL_RUN_DIR.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { defineConfig } from "allure";

const run = process.env.REDRILL_RUN_DIR;
const read = (name) => (existsSync(join(run, name)) ? JSON.parse(readFileSync(join(run, name), "utf8")) : undefined);
const verdict = read("verdict.json");
const results = readdirSync(join(run, "allure-results")).filter((name) => name.endsWith("-result.json")).length;

export default defineConfig({
  name: verdict ? `redrill ${verdict.fleet}: ${verdict.decision}` : `redrill ${basename(run)}`,
  historyPath: join(dirname(run), "history.jsonl"), // beside the runs, for it outlives each of them
  historyLimit: 50,
  appendHistory: process.env.REDRILL_APPEND_HISTORY !== "no",
  categories: { rules: read("allure-results/categories.json") ?? [] },
  variables: verdict ? { run: verdict.run, verdict: `${verdict.decision} (exit ${verdict.exit_code})` } : {},
  plugins: {
    awesome: {
      options: {
        reportName: verdict ? `${verdict.fleet}: ${verdict.decision}` : basename(run),
        reportLanguage: "en",
        singleFile: results <= 2000, // opens from disk; several files need a web server, but one large file is slow
        groupBy: ["endpoint", "suite"],
        sections: ["report", "timeline", "charts"],
        defaultSection: "report",
        timeline: { minDuration: 0 },
        charts: [
          { type: "currentStatus", title: "This run" },
          { type: "statusDynamics", title: "Runs so far" },
          { type: "statusTransitions", title: "What changed between runs" },
          { type: "durationDynamics", title: "Duration of the runs" },
        ],
      },
    },
  },
});

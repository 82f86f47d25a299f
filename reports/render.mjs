// node render.mjs RUN_DIR: makes RUN_DIR/allure-report from RUN_DIR/allure-results, for its owner alone, without any
// request to elsewhere when it is opened. Exit status 0: made; 2: cannot be made, with the reason.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const cli = join(here, "node_modules", "allure", "cli.js");
const analytics = /<script\b[^>]*\bsrc="https:\/\/www\.googletagmanager\.com[^>]*>\s*<\/script>\s*<script>.*?<\/script>/gs;
const trackers = /googletagmanager|google-analytics/;

function stop(reason) {
  process.stderr.write(`${reason}\n`);
  process.exit(2);
}

function findRun() {
  if (process.argv.length !== 3) stop("Usage: node render.mjs RUN_DIR, such as reports/latest.");
  if (!existsSync(process.argv[2])) stop(`'${process.argv[2]}' does not exist; name the folder of a run.`);
  const run = realpathSync(process.argv[2]); // 'latest' is a link, and the history lies beside the real folder
  const results = join(run, "allure-results");
  const hasResult = existsSync(results) && readdirSync(results).some((name) => name.endsWith("-result.json"));
  if (!hasResult) stop(`'${results}' holds no test result, so there is nothing to render.`);
  if (!existsSync(cli)) stop(`Allure is not installed; run 'npm ci --prefix ${here}' first.`);
  return run;
}

function generate(run, output) {
  const isFirst = !existsSync(join(run, "allure-report")); // a run is one point of the history, however often rendered
  const environment = { ...process.env, REDRILL_RUN_DIR: run, REDRILL_APPEND_HISTORY: isFirst ? "yes" : "no" };
  const words = ["generate", "--config", join(here, "allurerc.mjs"), "--output", output, join(run, "allure-results")];
  const done = spawnSync(process.execPath, [cli, ...words], { cwd: here, env: environment, encoding: "utf8" });
  if (done.status !== 0 || !existsSync(join(output, "index.html"))) {
    rmSync(output, { recursive: true, force: true });
    stop(`Allure made no report (status ${done.status}): ${done.stderr || done.stdout || done.error}`);
  }
}

// Allure's pages call an analytics service from the reader's browser and have no option against it.
function stripAnalytics(output) {
  const pages = readdirSync(output, { recursive: true }).filter((name) => name.endsWith(".html"));
  for (const page of pages.map((name) => join(output, name))) {
    const stripped = readFileSync(page, "utf8").replace(analytics, "");
    if (trackers.test(stripped)) {
      rmSync(output, { recursive: true, force: true });
      stop(`'${page}' still calls an analytics service: the installed Allure is not the one of package-lock.json.`);
    }
    writeFileSync(page, stripped);
  }
}

process.umask(0o077);
const run = findRun();
const report = join(run, "allure-report");
const fresh = `${report}.new`;
rmSync(fresh, { recursive: true, force: true });
generate(run, fresh);
stripAnalytics(fresh);
rmSync(report, { recursive: true, force: true });
renameSync(fresh, report);
process.stdout.write(`${join(report, "index.html")}\n`);

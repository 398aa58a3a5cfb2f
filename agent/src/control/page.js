// The page: asks for /status every two seconds and draws it. Whatever it shows is put in as text, never as markup.
"use strict";

const EVERY = 2000;
const POINTS = 60;
const SVG = "http://www.w3.org/2000/svg";
const TONES = { running: "good", waiting: "", paused: "warn", full: "warn", stopping: "", parked: "bad", failed: "bad", "disk-full": "bad" };
/** Of each job: what was acknowledged when it was last looked, when that was, and the rates since. */
const past = new Map();

const of = (id) => document.getElementById(id);

function made(name, text, classes) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (classes) node.className = classes;
  return node;
}

const count = (n) => Number(n).toLocaleString("en");

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (n >= 1024 && at + 1 < units.length) {
    n /= 1024;
    at += 1;
  }
  return `${at ? n.toFixed(1) : n} ${units[at]}`;
}

function rates(job, now) {
  const before = past.get(job.id) || { rates: [] };
  const { acknowledged, at } = before;
  // Counts begin anew with the agent.
  if (at !== undefined && job.acknowledged_records >= acknowledged && now > at) {
    before.rates.push((1000 * (job.acknowledged_records - acknowledged)) / (now - at));
    before.rates = before.rates.slice(-POINTS);
  }
  past.set(job.id, { rates: before.rates, acknowledged: job.acknowledged_records, at: now });
  return before.rates;
}

function sparkline(values) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${POINTS - 1} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  const most = Math.max(...values, 1);
  const from = POINTS - values.length;
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", values.map((value, at) => `${from + at},${19 - (18 * value) / most}`).join(" "));
  svg.append(line);
  return svg;
}

/** What a person should read of a job, a line each. */
function remarks(job) {
  const parked = (job.parked || []).map((lane) => `${lane.index === "*" ? "everything" : `index ${lane.index}`} waits: ${lane.why}`);
  const told = parked.length || !job.why ? parked : [job.why];
  if (job.last_error && !told.some((line) => job.last_error.includes(line))) told.push(`last error: ${job.last_error}`);
  return told;
}

function rows(job, now) {
  const row = made("tr");
  const all = rates(job, now);
  const told = remarks(job);
  row.append(made("td", job.id, "long"), made("td", job.state, `short ${TONES[job.state] || ""}`));
  const drawn = made("td", undefined, "wide");
  drawn.append(sparkline(all));
  row.append(drawn, made("td", all.length ? count(Math.round(all[all.length - 1])) : "–", "n wide"), made("td", bytes(job.lag_bytes), "n wide"));
  const owed = job.owed_records ? `${count(job.owed_records)} (${bytes(job.owed_bytes)})` : "0";
  row.append(made("td", owed, "n"), made("td", count(job.acknowledged_records), "n wide"));
  const dead = made("td", job.dead_letters ? undefined : "0", "n");
  if (job.dead_letters) {
    const button = made("button", count(job.dead_letters), "bad");
    button.dataset.job = job.id;
    button.title = `dead letters of ${job.id}`;
    button.addEventListener("click", () => letters(job.id));
    dead.append(button);
  }
  row.append(dead);
  if (!told.length) return [row];
  row.className = "told";
  const under = made("tr");
  const why = made("td", undefined, "why");
  why.colSpan = 8;
  told.forEach((line) => why.append(made("div", line)));
  under.append(why);
  return [row, under];
}

async function letters(job) {
  const section = of("letters");
  let list = [];
  try {
    const answer = await fetch(`dead-letters?limit=100&pipeline=${encodeURIComponent(job)}`);
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error);
    list = said;
    section.querySelector("h2").textContent = list.length ? `Dead letters of ${job}, the first ${list.length}` : `${job} has no dead letters any more`;
  } catch (error) {
    section.querySelector("h2").textContent = `No dead letters of ${job} can be had: ${error.message}`;
  }
  section.querySelector("code").textContent = `splashctl dead-letters show N --pipeline ${job}`;
  const lines = list.map((letter) => {
    const row = made("tr");
    row.append(made("td", count(letter.number), "n"), made("td", letter.at.slice(0, 19).replace("T", " "), "short"), made("td", letter.index, "wide long"), made("td", `${letter.kind}: ${letter.reason}`, "long"));
    return row;
  });
  section.querySelector("tbody").replaceChildren(...lines);
  section.hidden = false;
  // With many jobs it lies far below the button.
  section.scrollIntoView();
}

/** `50 jobs: 43 running, 7 waiting; 21 dead letters` */
function summary(jobs) {
  const states = new Map();
  jobs.forEach((job) => states.set(job.state, (states.get(job.state) || 0) + 1));
  const words = [...states].sort((a, b) => b[1] - a[1]).map(([state, number]) => `${count(number)} ${state}`);
  const dead = jobs.reduce((sum, job) => sum + job.dead_letters, 0);
  const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
  return jobs.length ? `${plural(jobs.length, "job")}: ${words.join(", ")}${dead ? `; ${plural(dead, "dead letter")}` : ""}` : "";
}

function show(status, now) {
  const well = status.health === "ok";
  of("health").textContent = well ? "is well" : "is degraded";
  of("health").className = `word ${well ? "good" : "bad"}`;
  of("about").textContent = `version ${status.version}, agent ${status.agent_id}, since ${status.started_at}, ${status.data_dir}`;
  of("notes").replaceChildren(...status.notes.map((note) => made("li", note)));
  of("sum").textContent = summary(status.pipelines);
  const focused = document.activeElement && document.activeElement.dataset.job;
  of("jobs").replaceChildren(...status.pipelines.flatMap((job) => rows(job, now)));
  // Whoever is on a button with the keyboard stays there.
  const again = focused && [...document.querySelectorAll("button")].find((button) => button.dataset.job === focused);
  if (again) again.focus({ preventScroll: true });
  of("none").hidden = status.pipelines.length > 0;
  of("looked").textContent = new Date(now).toLocaleTimeString();
}

async function look() {
  try {
    const answer = await fetch("status");
    show(await answer.json(), Date.now());
  } catch {
    of("health").textContent = "does not answer";
    of("health").className = "word bad";
  }
  setTimeout(look, EVERY);
}

look();

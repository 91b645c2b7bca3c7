/*
 * Copyright: (c) 2026, herdops.alpacon contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

// What the page shows stands in the part of its URL after the #: filters, and a server, check or finding.
(() => {
  "use strict";

  const OUTCOMES = ["passed", "failed", "unknown"];
  const SEVERITIES = ["info", "low", "medium", "high", "critical"];
  const FILTERS = ["q", "outcome", "severity", "group", "set"];
  // The places of what passed in a row of results; what did not pass has the first four only.
  const [SERVER, CHECK, OUTCOME, SEVERITY, MESSAGE, OUTPUT, FLAGS, DETAIL, COMMAND] = Array(9).keys();
  const IS_CUT = 1;
  const IS_INCOMPLETE = 2;

  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const title = () => document.querySelector("h1").textContent;
  let parsed;
  let columns;
  let isFiltered = false;
  let cameFrom = null;

  function data() {
    parsed ??= JSON.parse(byId("data").textContent);
    return parsed;
  }

  // An element with its children; texts stay texts.
  function make(name, attributes, ...children) {
    const element = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    element.append(...children.filter((child) => child !== null && child !== ""));
    return element;
  }

  const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  // Where we are

  function state() {
    const hash = location.hash.slice(1);
    const [, kind, number] = /^([scf])(\d+)$/.exec(hash) ?? [];
    if (kind === "s" && data().servers[number]) return { server: data().servers[number].host };
    if (kind === "c" && data().checks[number]) return { check: data().checks[number].name };
    if (kind === "f") return { finding: number };
    return Object.fromEntries(new URLSearchParams(hash));
  }

  function hashOf(wanted) {
    const filled = Object.entries(wanted).filter(([, value]) => value);
    return `#${new URLSearchParams(filled)}`;
  }

  const filters = () => Object.fromEntries(FILTERS.map((name) => [name, byId("filters").elements[name]?.value ?? ""]));

  function go(place) {
    location.hash = hashOf({ ...filters(), ...place });
  }

  function show() {
    if (/^#(main|findings)$/.test(location.hash)) return;
    const wanted = state();
    for (const name of FILTERS) {
      const control = byId("filters").elements[name];
      if (control && control.value !== (wanted[name] ?? "")) control.value = wanted[name] ?? "";
    }
    const view = viewOf(wanted);
    const wasView = !byId("view").hidden;
    byId("overview").hidden = Boolean(view);
    byId("view").hidden = !view;
    byId("view").replaceChildren(...(view ?? []));
    const heading = byId("view").querySelector("h2");
    document.title = heading ? `${heading.textContent}: ${title()}` : title();
    if (heading) {
      scrollTo(0, 0);
      heading.focus({ preventScroll: true });
      return;
    }
    filter();
    if (wanted.finding) reveal(wanted.finding);
    else if (wasView) (cameFrom?.isConnected ? cameFrom : byId("main")).focus();
  }

  function viewOf(wanted) {
    const server = data().servers.findIndex(({ host }) => host === wanted.server);
    if (server >= 0) return serverView(server);
    const check = data().checks.findIndex(({ name }) => name === wanted.check);
    return check >= 0 ? checkView(check) : null;
  }

  const back = () => go({});

  function reveal(number) {
    const answer = byId(`f${number}`);
    if (!answer) return;
    for (let element = answer; element.id !== "overview"; element = element.parentElement) {
      element.hidden = false;
      if (element.localName === "details") element.open = true;
    }
    const finding = answer.closest("details");
    finding.scrollIntoView({ block: "start" });
    finding.querySelector("summary").focus({ preventScroll: true });
  }

  // The filter

  function filter() {
    const wanted = filters();
    const isActive = Object.values(wanted).some(Boolean);
    if (!isActive && !isFiltered) return;
    isFiltered = isActive;
    const kept = keep(wanted, isActive);
    for (const [number] of data().servers.entries())
      byId(`s${number}`).parentElement.hidden = !kept.servers.has(number);
    const gone = data().checks.flatMap((_, number) =>
      kept.checks.has(number) ? [] : [`#grid tr>:nth-child(${number + 2})`],
    );
    columns.replaceSync(gone.length ? `${gone.join(",")}{display:none}` : "");
    for (const answer of document.querySelectorAll(".answers > li"))
      answer.hidden = !kept.results.has(Number(answer.id.slice(1)));
    for (const finding of document.querySelectorAll("#findings .finding")) narrow(finding);
    for (const check of document.querySelectorAll("#findings > .check"))
      check.hidden = !check.querySelector(".finding:not([hidden])");
    for (const check of document.querySelectorAll("#clean > .check"))
      check.hidden = !kept.checks.has(Number(check.id.slice(1)));
    if (byId("clean")) byId("clean").hidden = !document.querySelector("#clean > .check:not([hidden])");
    byId("none").hidden = Boolean(document.querySelector("#findings > .check:not([hidden])"));
    byId("shown").textContent = sentence(kept, isActive);
  }

  // A finding of several servers says how many of them the filter lets through.
  function narrow(finding) {
    const answers = [...finding.querySelectorAll(".answers > li")];
    const shown = answers.filter((answer) => !answer.hidden).length;
    finding.hidden = shown === 0;
    if (answers.length === 1) return;
    const of = shown === answers.length ? "" : `${shown.toLocaleString("en")} of `;
    finding.querySelector(".who").textContent = of + counted(answers.length, "server");
  }

  function keep({ q, outcome, severity, group, set }, isActive) {
    const { servers, checks, results } = data();
    const words = q.toLowerCase().split(/\s+/).filter(Boolean);
    const has = (texts) => texts.map((text) => words.map((word) => text.toLowerCase().includes(word)));
    const inServer = has(servers.map(({ host, name, groups }) => [host, name, ...groups].join("\n")));
    const inCheck = has(checks.map(({ name, set: itsSet }) => `${name}\n${itsSet}`));
    const serverFits = servers.map(({ groups }) => !group || groups.includes(group));
    const checkFits = checks.map(({ set: itsSet }) => !set || itsSet === set);
    const code = OUTCOMES.indexOf(outcome);
    const least = SEVERITIES.indexOf(severity);
    // Without a filter, what has no result is there as well.
    const all = (rows) => new Set(isActive ? [] : rows.keys());
    const kept = { servers: all(servers), checks: all(checks), results: new Set(), outcomes: [0, 0, 0] };
    results.forEach((row, number) => {
      const [server, check] = row;
      if ((code >= 0 && row[OUTCOME] !== code) || row[SEVERITY] < least || !serverFits[server] || !checkFits[check])
        return;
      if (!words.every((_, place) => inServer[server][place] || inCheck[check][place])) return;
      kept.servers.add(server);
      kept.checks.add(check);
      kept.results.add(number);
      kept.outcomes[row[OUTCOME]] += 1;
    });
    return kept;
  }

  function sentence(kept, isActive) {
    const [, failed, unknown] = kept.outcomes;
    const of = isActive ? ` of ${data().results.length.toLocaleString("en")}` : "";
    const where = `on ${counted(kept.servers.size, "server")} and ${counted(kept.checks.size, "check")}`;
    const numbers = `${failed.toLocaleString("en")} failed, ${unknown.toLocaleString("en")} unknown`;
    return `${isActive ? "Showing " : ""}${kept.results.size.toLocaleString("en")}${of} results: ${numbers}, ${where}`;
  }

  // A server or a check by itself

  function resultsWhere(place, number) {
    return data()
      .results.map((row, index) => ({ row, index }))
      .filter(({ row }) => row[place] === number);
  }

  function worstFirst(one, other) {
    const rank = ({ row }) => (row[OUTCOME] === 0 ? 0 : row[SEVERITY] + 1 + (row[OUTCOME] === 1 ? 10 : 0));
    return rank(other) - rank(one) || one.index - other.index;
  }

  function frame(name, kind, ...sections) {
    const button = make("button", { type: "button", class: "back" }, "\u2190 Back to the overview");
    button.addEventListener("click", back);
    return [
      button,
      make("div", {}, make("p", { class: "muted" }, kind), make("h2", { tabindex: "-1" }, name)),
      ...sections.filter(Boolean),
    ];
  }

  function facts(pairs) {
    const shown = pairs.filter(([, value]) => value !== "" && value !== null);
    return make(
      "dl",
      { class: "facts" },
      ...shown.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", { class: "prose" }, value))),
    );
  }

  function panel(heading, ...children) {
    return make("section", { class: "panel", "aria-label": heading }, make("h3", {}, heading), ...children);
  }

  function serverView(number) {
    const server = data().servers[number];
    const results = resultsWhere(SERVER, number).sort(worstFirst);
    const about = facts([
      ["Name", server.name === server.host ? "" : server.name],
      ["Id", server.id],
      ["Workspace", server.workspace],
      ["Groups", server.groups.join(", ")],
    ]);
    const gathered = Object.entries(server.facts);
    return frame(
      server.host,
      "Server",
      about.childElementCount ? panel("About", about) : null,
      gathered.length ? panel("Facts", facts(gathered)) : null,
      panel(
        counted(results.length, "result"),
        ...results.map((result) => item(result, data().checks[result.row[CHECK]].name, `#c${result.row[CHECK]}`)),
      ),
    );
  }

  function checkView(number) {
    const check = data().checks[number];
    const results = resultsWhere(CHECK, number).sort(worstFirst);
    const findings = results.filter(({ row }) => row[OUTCOME] !== 0);
    const passed = results.filter(({ row }) => row[OUTCOME] === 0);
    const about = facts([
      ["Severity", SEVERITIES[check.severity]],
      ["Set", check.set],
      ["Why", check.description],
      ["Remedy", check.remedy],
      ["Line", make("code", {}, check.line)],
      ["User", check.username],
      ["Expected", check.expected.join("; ")],
      ["Only for", check.when.join(", ")],
    ]);
    const host = ({ row }) => data().servers[row[SERVER]].host;
    const links = passed.map((result) => make("li", {}, make("a", { href: `#s${result.row[SERVER]}` }, host(result))));
    return frame(
      check.name,
      "Check",
      panel("About", about),
      findings.length
        ? panel(
            counted(findings.length, "finding"),
            ...findings.map((result) => item(result, host(result), `#s${result.row[SERVER]}`)),
          )
        : null,
      passed.length
        ? panel(`Passed on ${counted(passed.length, "server")}`, make("ul", { class: "many" }, ...links))
        : null,
    );
  }

  // One result: a line that opens to what is behind it.
  function item({ row, index }, name, link) {
    const isPassed = row[OUTCOME] === 0;
    const kind = row[OUTCOME] === 1 ? SEVERITIES[row[SEVERITY]] : OUTCOMES[row[OUTCOME]];
    const { message, evidence, trace } = isPassed ? behindPassed(row) : behindFinding(index);
    return make(
      "details",
      { class: "result" },
      make(
        "summary",
        {},
        make("span", { class: `badge ${kind}` }, kind),
        make("span", { class: "who" }, name),
        make("span", { class: "what" }, message),
      ),
      make("div", { class: "evidence" }, ...evidence),
      make("ul", { class: "answers" }, make("li", {}, make("a", { href: link }, name), ...trace)),
    );
  }

  function behindFinding(index) {
    const answer = byId(`f${index}`);
    const finding = answer.closest("details");
    return {
      message: finding.querySelector(".what").textContent,
      evidence: [...finding.querySelector(".evidence").cloneNode(true).childNodes],
      trace: [...answer.cloneNode(true).children].slice(1),
    };
  }

  function behindPassed(row) {
    const text = (place) => data().texts[row[place]];
    const note = (words) => make("p", { class: "muted" }, words);
    const output = text(OUTPUT);
    const evidence = [
      output
        ? make("pre", { role: "group", tabindex: "0", "aria-label": "Output" }, output)
        : note(
            output === ""
              ? "There is no output."
              : "The output is left out here, to keep this page small. It is in audit.json.",
          ),
      output && row[FLAGS] & IS_CUT ? note("Only the beginning of the output is shown.") : null,
      row[FLAGS] & IS_INCOMPLETE ? note("The output that the workspace has is not complete.") : null,
    ];
    const trace = [make("span", {}, text(DETAIL) ?? ""), make("code", {}, row[COMMAND])];
    return { message: text(MESSAGE) ?? "", evidence: evidence.filter(Boolean), trace };
  }

  // What people do

  function follow(event) {
    const link = event.target.closest("a");
    if (!link && event.target.closest("#grid td.passed")) {
      const row = event.target.closest("tr").querySelector("th a");
      row.click();
      return;
    }
    const [, kind, number] = /^#([scf])(\d+)$/.exec(link?.getAttribute("href") ?? "") ?? [];
    if (!kind || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (!byId("overview").hidden) cameFrom = link;
    if (kind === "s") go({ server: data().servers[number].host });
    if (kind === "c") go({ check: data().checks[number].name });
    if (kind === "f") {
      go({ finding: number });
      reveal(number);
    }
  }

  // Arrow keys move between the cells of the grid that lead to a finding.
  function move(event) {
    const cell = event.target.closest("#grid td");
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!cell || !step) return;
    event.preventDefault();
    const rows = cell.closest("tbody").rows;
    let [row, column] = [cell.parentElement.sectionRowIndex + step[0], cell.cellIndex + step[1]];
    while (rows[row]?.cells[column]) {
      const link = rows[row].cells[column].querySelector("a");
      if (link?.checkVisibility()) {
        link.focus();
        return;
      }
      row += step[0];
      column += step[1];
    }
  }

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function paint(theme) {
    if (theme) root.dataset.theme = theme;
    const button = byId("theme");
    if (!button) return;
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Show in ${button.textContent.toLowerCase()} colours`);
  }

  // A browser may refuse to keep anything for a file.
  function remembered(theme) {
    try {
      if (theme) localStorage.setItem("theme", theme);
      return localStorage.getItem("theme");
    } catch {
      return null;
    }
  }

  let opened = [];

  function openForPrint() {
    opened = [...document.querySelectorAll("details:not([open])")].filter((details) => details.checkVisibility());
    for (const details of opened) details.open = true;
  }

  function closeAfterPrint() {
    for (const details of opened) details.open = false;
  }

  function start() {
    columns = new CSSStyleSheet();
    document.adoptedStyleSheets = [columns];
    for (const element of document.querySelectorAll(".actions, #filters")) element.hidden = false;
    paint();
    byId("theme").addEventListener("click", () => {
      const theme = isDark() ? "light" : "dark";
      remembered(theme);
      paint(theme);
    });
    byId("print").addEventListener("click", () => print());
    const change = () => {
      history.replaceState(null, "", hashOf(filters()));
      filter();
    };
    byId("filters").addEventListener("input", change);
    byId("filters").addEventListener("reset", () => setTimeout(change));
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("click", follow);
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !byId("view").hidden) back();
      else move(event);
    });
    addEventListener("hashchange", show);
    addEventListener("beforeprint", openForPrint);
    addEventListener("afterprint", closeAfterPrint);
    if (location.hash) show();
  }

  root.classList.add("js");
  paint(["light", "dark"].find((theme) => theme === remembered()));
  document.addEventListener("DOMContentLoaded", start);
})();

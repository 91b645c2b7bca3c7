/*
 * Copyright: (c) 2026, herdops.alpacon contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

// The part of the URL after the # says what the page shows: filters, and a server or a check.
(() => {
  "use strict";

  const OUTCOMES = ["passed", "failed", "unknown", "not_applicable", "waived"];
  const [, FAILED, UNKNOWN, , WAIVED] = OUTCOMES.keys();
  const SEVERITIES = ["info", "low", "medium", "high", "critical"];
  const FILTERS = ["q", "outcome", "severity", "group", "set"];
  // The places in an answer.
  const [OUTCOME, SEVERITY, OUTPUT, MESSAGE, WHOLE, NOTE, WAIVER] = Array(7).keys();

  const SHOWN_ANSWERS = 12;
  const SHOWN_SERVERS = 60;
  const ROW = 28;
  // Up to so many rows the grid has all of them, and not only those in sight.
  const ALL_ROWS = 150;
  const FEW_CHECKS = 40;

  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const title = () => document.querySelector("h1").textContent;
  const number = (value) => value.toLocaleString("en");
  const counted = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
  let report;
  let kept;
  let cameFrom = null;

  // An element with its children; texts stay texts.
  function make(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children.filter((child) => child !== null && child !== ""));
    return element;
  }

  // The data: columns of numbers, and each text once.

  class Report {
    constructor(data) {
      const text = (place) => data.texts[place];
      this.texts = data.texts;
      this.checks = data.checks;
      this.answers = data.answers;
      this.columns = data.columns.map((column) => Int32Array.from(column));
      this.commands = data.commands;
      const { host, groups, reason, ...others } = data.servers;
      this.hosts = host.map(text);
      this.groups = groups.map((places) => places.map(text));
      this.reasons = reason.map(text);
      this.more = others;
      this.size = this.hosts.length;
      this.total = this.columns.reduce((sum, column) => sum + column.filter((answer) => answer >= 0).length, 0);
      this.hasResults = this.columns.map((column) => column.some((answer) => answer >= 0));
      this.hasFindings = this.columns.map((column) => column.some((answer) => answer >= 0 && this.isFinding(answer)));
      this.order = this.ranked();
    }

    isFinding(answer) {
      const outcome = this.answers[answer][OUTCOME];
      return outcome === FAILED || outcome === UNKNOWN || outcome === WAIVED;
    }

    about(name, server) {
      return this.texts[this.more[name][server]];
    }

    // The servers, the worst first; those without results before those that are in order.
    ranked() {
      const weight = new Float64Array(this.size);
      for (const column of this.columns)
        column.forEach((answer, server) => {
          if (answer < 0) return;
          const [outcome, severity] = this.answers[answer];
          if (outcome === FAILED) weight[server] += 1000 ** severity;
          else if (outcome === UNKNOWN) weight[server] += 0.001;
        });
      this.reasons.forEach((reason, server) => {
        if (reason) weight[server] = 0.5;
      });
      return [...weight.keys()].sort((one, other) => weight[other] - weight[one] || one - other);
    }

    // The answers to a check of some servers, those that are the same in one; the worst first.
    grouped(check, servers, fits) {
      const found = new Map();
      const column = this.columns[check];
      for (const server of servers) {
        const answer = column[server];
        if (answer < 0 || !fits(this.answers[answer])) continue;
        if (!found.has(answer)) found.set(answer, []);
        found.get(answer).push(server);
      }
      const rank = (answer) => this.answers[answer][SEVERITY] + (this.answers[answer][OUTCOME] === FAILED ? 10 : 0);
      return [...found].sort(
        ([one, of], [other, others]) => rank(other) - rank(one) || others.length - of.length || one - other,
      );
    }
  }

  // Where we are

  function state() {
    const hash = location.hash.slice(1);
    const [, kind, place] = /^([sc])(\d+)$/.exec(hash) ?? [];
    if (kind === "s" && place < report.size) return { server: report.hosts[place] };
    if (kind === "c" && report.checks[place]) return { check: report.checks[place].name };
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
    const server = report.hosts.indexOf(wanted.server);
    const wasView = !byId("view").hidden;
    byId("overview").hidden = server >= 0;
    byId("view").hidden = server < 0;
    byId("view").replaceChildren(...(server < 0 ? [] : serverView(server, wanted.result)));
    document.title = server < 0 ? title() : `${report.hosts[server]}: ${title()}`;
    if (server >= 0) {
      scrollTo(0, 0);
      const opened = byId("view").querySelector("details.wanted");
      if (opened) opened.scrollIntoView({ block: "center" });
      (opened?.querySelector("summary") ?? byId("view").querySelector("h2")).focus({ preventScroll: true });
      return;
    }
    filter();
    const section = byId(`c${report.checks.findIndex(({ name }) => name === wanted.check)}`);
    if (section) goTo(section);
    else if (wasView) focusAgain();
  }

  // A check, even one that the filter leaves out.
  function goTo(section) {
    section.hidden = false;
    if (section.matches("details")) section.open = true;
    section.scrollIntoView();
    section.querySelector("h3 a, summary").focus({ preventScroll: true });
  }

  // Where the reader was before a view: the grid may have been drawn anew since.
  function focusAgain() {
    const again = cameFrom?.isConnected ? cameFrom : cameFrom?.id && byId(cameFrom.id);
    (again || byId("main")).focus();
  }

  const back = () => go({});

  // The filter

  function filter() {
    const wanted = filters();
    kept = keep(wanted, Object.values(wanted).some(Boolean));
    narrow();
    grid.draw();
    byId("shown").textContent = sentence();
  }

  let haystacks;

  function keep({ q, outcome, severity, group, set }, isActive) {
    haystacks ??= report.hosts.map((host, server) =>
      [host, ...["name", "os", "ip", "owner", "agent"].map((name) => report.about(name, server)), ...report.groups[server]]
        .join("\n")
        .toLowerCase(),
    );
    const words = q.toLowerCase().split(/\s+/).filter(Boolean);
    const code = OUTCOMES.indexOf(outcome);
    const least = SEVERITIES.indexOf(severity);
    const fits = (answer) => (code < 0 || answer[OUTCOME] === code) && answer[SEVERITY] >= least;
    // A word is in the server or in the check: the bits of those that the server does not have.
    const missing = haystacks.map((text) => words.filter((word) => !text.includes(word)));
    const found = { isActive, checks: new Set(), ofCheck: [], counts: [0, 0, 0, 0, 0], results: 0 };
    const isKept = new Uint8Array(report.size);
    const inGroup = report.groups.map((groups) => !group || groups.includes(group));
    const fitting = report.answers.map(fits);
    report.checks.forEach((check, place) => {
      const column = report.columns[place];
      found.ofCheck[place] = [];
      if (set && check.set !== set) return;
      const text = `${check.name}\n${check.set}\n${check.title}`.toLowerCase();
      const unknown = words.filter((word) => !text.includes(word));
      for (let server = 0; server < report.size; server += 1) {
        const answer = column[server];
        if (answer < 0 || !fitting[answer] || !inGroup[server]) continue;
        if (unknown.length && missing[server].some((word) => unknown.includes(word))) continue;
        isKept[server] = 1;
        found.ofCheck[place].push(server);
        found.counts[report.answers[answer][OUTCOME]] += 1;
        found.results += 1;
      }
      if (found.ofCheck[place].length) found.checks.add(place);
    });
    if (!isActive) report.checks.forEach((_, place) => found.checks.add(place));
    const ofResults = outcome || severity || set;
    found.servers = report.order.filter(
      (server) =>
        isKept[server] || !isActive || (!ofResults && report.reasons[server] && inGroup[server] && !missing[server].length),
    );
    return found;
  }

  function sentence() {
    const of = kept.isActive ? ` of ${number(report.total)}` : "";
    const where = `on ${counted(kept.servers.length, "server")} and ${counted(kept.checks.size, "check")}`;
    const numbers = `${number(kept.counts[FAILED])} failed, ${number(kept.counts[UNKNOWN])} unknown`;
    return `${kept.isActive ? "Showing " : ""}${number(kept.results)}${of} results: ${numbers}, ${where}`;
  }

  // The findings that the filter lets through.
  function narrow() {
    for (const section of document.querySelectorAll("#findings > .check")) {
      const check = Number(section.dataset.check);
      const answers = report.grouped(check, kept.ofCheck[check], ([outcome]) => outcome === FAILED || outcome === UNKNOWN);
      section.hidden = answers.length === 0;
      fill(section.querySelector(".answers"), check, answers);
    }
    for (const section of document.querySelectorAll("#clean > .check"))
      section.hidden = !kept.checks.has(Number(section.dataset.check));
    byId("none").hidden = Boolean(document.querySelector("#findings > .check:not([hidden])"));
  }

  function fill(place, check, answers, most = SHOWN_ANSWERS) {
    const shown = answers.slice(0, most).map(([answer, servers]) => finding(check, answer, servers));
    if (answers.length > most) {
      const more = make("button", { type: "button", class: "rest" }, `Show all ${number(answers.length)} answers`);
      more.addEventListener("click", () => {
        fill(place, check, answers, Infinity);
        place.children[most].querySelector("summary").focus();
      });
      shown.push(more);
    }
    place.replaceChildren(...shown);
  }

  const kindOf = ([outcome, severity]) => (outcome === FAILED ? SEVERITIES[severity] : OUTCOMES[outcome]);
  const badge = (kind) => make("span", { class: `badge ${kind}` }, kind.replace("_", " "));
  const note = (words) => make("p", { class: "muted" }, words);

  // An answer of one or several servers: a line that opens to what is behind it.
  function finding(check, answer, servers, who = null, link = null) {
    const row = report.answers[answer];
    const name = who ?? (servers.length === 1 ? report.hosts[servers[0]] : counted(servers.length, "server"));
    const what = make("span", { class: "what" }, report.texts[row[MESSAGE]]);
    const summary = make("summary", {}, badge(kindOf(row)), what, make("span", { class: "who" }, name));
    const element = make("details", { class: "finding" }, summary);
    // Few are opened of many.
    element.reveal = () => element.children.length > 1 || element.append(evidence(check, row, servers, link));
    element.addEventListener("toggle", element.reveal);
    return element;
  }

  function evidence(check, row, servers, link) {
    const output = report.texts[row[OUTPUT]];
    return make(
      "div",
      { class: "evidence" },
      report.texts[row[WHOLE]] ? make("p", {}, report.texts[row[WHOLE]]) : null,
      output ? make("pre", { role: "group", tabindex: "0", "aria-label": "Output" }, output) : note("There is no output."),
      ...[NOTE, WAIVER].map((place) => (report.texts[row[place]] ? note(report.texts[row[place]]) : null)),
      hostsOf(check, servers, link),
    );
  }

  function hostsOf(check, servers, link, most = SHOWN_SERVERS) {
    const list = make("ul", { class: "hosts" });
    const items = servers.slice(0, most).map((server) => {
      const ran = report.texts[report.commands[check][server]] ?? "";
      const to = link ?? { href: `#s${server}`, name: report.hosts[server] };
      const words = make("span", {}, servers.length === 1 ? ran : ran.split(",")[0]);
      return make("li", {}, make("a", { href: to.href }, to.name), words);
    });
    list.append(...items);
    if (servers.length > most) {
      const more = make("button", { type: "button" }, `Show all ${number(servers.length)} servers`);
      more.addEventListener("click", () => list.replaceWith(hostsOf(check, servers, link, Infinity)));
      list.append(make("li", {}, more));
    }
    return list;
  }

  // The grid draws the rows that are in sight.

  const signOf = ([outcome, severity]) =>
    outcome === FAILED ? SEVERITIES[severity][0].toUpperCase() : ["\u2713", "", "?", "\u2013", "W"][outcome];

  const grid = {
    drawn: [-1, -1],

    start() {
      this.box = document.querySelector("#grid .scroll");
      this.all = byId("columns").querySelector("input");
      byId("columns").hidden = report.checks.length <= FEW_CHECKS;
      this.all.addEventListener("change", () => this.draw());
      this.box.addEventListener("scroll", () => this.fill());
      byId("grid").hidden = false;
    },

    columns() {
      const few = report.checks.length > FEW_CHECKS && !this.all.checked;
      const has = few ? report.hasFindings : report.hasResults;
      return [...report.checks.keys()].filter((check) => kept.checks.has(check) && has[check]);
    },

    draw() {
      this.shown = this.columns();
      this.rows = kept.servers;
      this.body = make("tbody", {});
      this.drawn = [-1, -1];
      const table = make("table", { "aria-rowcount": this.rows.length + 1 }, head(this.shown), this.body);
      this.box.replaceChildren(table);
      this.fill();
    },

    // The rows in sight, and some around them.
    fill() {
      let [first, last] = [0, this.rows.length];
      if (last > ALL_ROWS) {
        const top = Math.floor(this.box.scrollTop / ROW);
        const seen = Math.ceil((this.box.clientHeight || 720) / ROW);
        first = Math.max(0, Math.min(top, last - seen) - 15);
        last = Math.min(last, first + seen + 30);
      }
      if (first === this.drawn[0] && last === this.drawn[1]) return;
      this.drawn = [first, last];
      const focused = document.activeElement?.closest?.("#grid tbody") && document.activeElement.id;
      const rows = this.rows.slice(first, last).map((server, place) => {
        const row = rowOf(server, this.shown);
        row.setAttribute("aria-rowindex", first + place + 2);
        return row;
      });
      this.body.replaceChildren(...this.space(first), ...rows, ...this.space(this.rows.length - last));
      if (focused) byId(focused)?.focus({ preventScroll: true });
    },

    space(rows) {
      if (!rows) return [];
      const row = make("tr", { class: "space", "aria-hidden": "true" }, make("td", { colspan: this.shown.length + 1 }));
      row.style.height = `${rows * ROW}px`;
      return [row];
    },

    // Arrow keys move between the cells that lead somewhere, wherever these are.
    move(from, [down, right]) {
      let row = this.rows.indexOf(Number(from.dataset.server));
      let column = this.shown.indexOf(Number(from.dataset.check));
      for (;;) {
        row += down;
        column += right;
        const [server, check] = [this.rows[row], this.shown[column]];
        if (server === undefined || check === undefined) return;
        const answer = report.columns[check][server];
        if (answer >= 0 && report.isFinding(answer)) {
          if (!byId(`x${server}-${check}`)) {
            this.box.scrollTop = Math.max(0, row * ROW - this.box.clientHeight / 2);
            this.fill();
          }
          byId(`x${server}-${check}`)?.focus();
          return;
        }
      }
    },
  };

  function head(checks) {
    const heads = checks.map((check) => {
      const { name } = report.checks[check];
      return make("th", { scope: "col" }, make("a", { href: `#c${check}`, title: name }, name));
    });
    return make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "corner" }, "Server"), ...heads));
  }

  function rowOf(server, checks) {
    const link = make("a", { href: `#s${server}`, id: `r${server}` }, report.hosts[server]);
    const row = make("tr", {}, make("th", { scope: "row" }, link));
    if (report.reasons[server])
      row.append(make("td", { class: "reason", colspan: Math.max(1, checks.length) }, report.reasons[server]));
    else for (const check of checks) row.append(cellOf(server, check));
    return row;
  }

  function cellOf(server, check) {
    const place = report.columns[check][server];
    const cell = document.createElement("td");
    if (place < 0) return cell;
    const answer = report.answers[place];
    const kind = kindOf(answer);
    const sign = signOf(answer);
    cell.className = kind;
    if (!report.isFinding(place)) {
      cell.textContent = sign;
      return cell;
    }
    const to = { href: `#s${server}`, id: `x${server}-${check}`, "data-server": server, "data-check": check };
    const words = answer[OUTCOME] === FAILED ? `failed, ${kind}` : kind;
    const texts = { "aria-label": `${sign}: ${words}`, title: report.texts[answer[MESSAGE]] };
    cell.append(make("a", { ...to, ...texts }, sign));
    return cell;
  }

  // A server by itself

  function facts(pairs) {
    const rows = pairs.filter(([, value]) => value).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
    return make("dl", { class: "facts" }, ...rows);
  }

  function panel(heading, ...children) {
    return make("section", { class: "panel", "aria-label": heading }, make("h3", {}, heading), ...children);
  }

  function serverView(server, wanted) {
    const rankOf = ({ answer: [outcome, severity] }) => [0, 20, 10, -10, 5][outcome] + severity;
    const results = report.columns
      .map((column, check) => ({ check, place: column[server], answer: report.answers[column[server]] }))
      .filter(({ answer }) => answer)
      .sort((one, other) => rankOf(other) - rankOf(one) || one.check - other.check);
    const groups = report.groups[server].map((name) => make("a", { href: hashOf({ group: name }) }, name));
    const name = report.about("name", server);
    const about = facts([
      ["Name", name === report.hosts[server] ? "" : name],
      ["System", report.about("os", server)],
      ["Agent", report.about("agent", server)],
      ["IP address", report.about("ip", server)],
      ["Owner", report.about("owner", server)],
      ["Groups", groups.length ? make("span", { class: "list" }, ...groups) : ""],
      ["Id", report.about("id", server)],
      ["Workspace", report.about("workspace", server)],
      ["Answers", report.about("earlier", server)],
    ]);
    const items = results.map(({ check, place }) => {
      const link = { href: `#c${check}`, name: report.checks[check].name };
      const item = finding(check, place, [server], link.name, link);
      if (wanted === link.name) {
        item.classList.add("wanted");
        item.open = true;
      }
      return item;
    });
    const failed = results.filter(({ answer }) => answer[OUTCOME] === FAILED).length;
    const button = make("button", { type: "button", class: "back" }, "\u2190 Back to the overview");
    button.addEventListener("click", back);
    const reason = report.reasons[server];
    return [
      button,
      make("div", {}, make("p", { class: "muted" }, "Server"), make("h2", { tabindex: "-1" }, report.hosts[server])),
      panel("About", about),
      ...(reason ? [panel("No results", make("p", {}, reason))] : []),
      ...(items.length ? [panel(`${counted(items.length, "check")}, ${number(failed)} failed`, ...items)] : []),
    ];
  }

  // What people do

  function follow(event) {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const href = link.getAttribute("href") ?? "";
    if (href.startsWith("#group=")) byId("filters").scrollIntoView();
    const [, kind, place] = /^#([sc])(\d+)$/.exec(href) ?? [];
    if (!kind) return;
    event.preventDefault();
    if (!byId("overview").hidden) cameFrom = link;
    if (kind === "c") go({ check: report.checks[place].name });
    else {
      const result = link.dataset.check === undefined ? "" : report.checks[link.dataset.check].name;
      go({ server: report.hosts[place], result });
    }
  }

  function press(event) {
    if (event.key === "Escape" && !byId("view").hidden) {
      back();
      return;
    }
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const cell = event.target.closest("#grid td a");
    if (!cell || !step) return;
    event.preventDefault();
    grid.move(cell, step);
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

  // On paper each finding is open.
  let opened = [];

  function beforePrint() {
    const closed = document.querySelectorAll("details.finding:not([open])");
    opened = [...closed].filter((details) => details.checkVisibility());
    for (const details of opened) {
      details.reveal?.();
      details.open = true;
    }
  }

  function afterPrint() {
    for (const details of opened) details.open = false;
  }

  function start() {
    report = new Report(JSON.parse(byId("data").textContent));
    for (const element of document.querySelectorAll(".actions, #filters")) element.hidden = false;
    paint();
    grid.start();
    byId("theme").addEventListener("click", () => {
      const theme = isDark() ? "light" : "dark";
      remembered(theme);
      paint(theme);
    });
    const change = () => {
      history.replaceState(null, "", hashOf(filters()));
      filter();
    };
    byId("filters").addEventListener("input", change);
    byId("filters").addEventListener("reset", () => setTimeout(change));
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("click", follow);
    document.addEventListener("keydown", press);
    addEventListener("hashchange", show);
    addEventListener("beforeprint", beforePrint);
    addEventListener("afterprint", afterPrint);
    show();
  }

  root.classList.add("js");
  paint(["light", "dark"].find((theme) => theme === remembered()));
  document.addEventListener("DOMContentLoaded", start);
})();

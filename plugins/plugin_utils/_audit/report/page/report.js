/*
 * Copyright: (c) 2026, herdops.alpacon contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

// What the page shows stands in the part of its URL after the #: filters, and a server, a check or a group.
(() => {
  "use strict";

  const OUTCOMES = ["passed", "failed", "unknown", "not_applicable", "waived"];
  const [PASSED, FAILED, UNKNOWN, NOT_APPLICABLE, WAIVED] = OUTCOMES.keys();
  const SEVERITIES = ["info", "low", "medium", "high", "critical"];
  const WEIGHTS = [0, 1, 3, 6, 10];
  const FILTERS = ["q", "outcome", "severity", "group", "set"];
  // The places in an answer.
  const [OUTCOME, SEVERITY, MESSAGE, OUTPUT, NOTE, WAIVER] = Array(6).keys();

  const SHOWN_ANSWERS = 12;
  const SHOWN_SERVERS = 60;
  const ROW = 28;
  // Up to so many rows the grid has all of them, and not only those in sight.
  const ALL_ROWS = 150;
  const FEW_CHECKS = 40;
  // What is printed of the grid: columns on a sheet, and servers.
  const SHEET = 22;
  const PRINTED = 500;

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
      this.commandColumns = data.commandColumns;
      this.commandOf = data.commandOf;
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

    // How some servers did: counts, failed by severity, and the score.
    stats(servers) {
      const counts = [0, 0, 0, 0, 0];
      const failed = [0, 0, 0, 0, 0];
      const weights = [0, 0];
      for (const column of this.columns)
        for (const server of servers) {
          if (column[server] < 0) continue;
          const [outcome, severity] = this.answers[column[server]];
          counts[outcome] += 1;
          if (outcome === FAILED) failed[severity] += 1;
          if (outcome <= FAILED) weights[outcome] += WEIGHTS[severity];
        }
      const of = weights[0] + weights[1] ? weights : counts;
      const all = of[PASSED] + of[FAILED];
      return { counts, failed, score: all ? `${Math.floor((of[PASSED] * 1000) / all) / 10}%` : "\u2013" };
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
      const rank = (answer) => {
        const [outcome, severity] = this.answers[answer];
        return severity + (outcome === FAILED ? 10 : 0);
      };
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
    const view = viewOf(wanted);
    const wasView = !byId("view").hidden;
    byId("overview").hidden = Boolean(view);
    byId("view").hidden = !view;
    byId("view").replaceChildren(...(view ?? []));
    const heading = byId("view").querySelector("h2");
    document.title = heading ? `${heading.textContent}: ${title()}` : title();
    if (heading) {
      scrollTo(0, 0);
      const opened = byId("view").querySelector("details.wanted");
      if (opened) opened.scrollIntoView({ block: "center" });
      (opened?.querySelector("summary") ?? heading).focus({ preventScroll: true });
      return;
    }
    filter();
    if (wasView) focusAgain();
  }

  // Where the reader was before a view: the grid may have been drawn anew since.
  function focusAgain() {
    const again = cameFrom?.isConnected ? cameFrom : cameFrom?.id && byId(cameFrom.id);
    (again || byId("main")).focus();
  }

  function viewOf(wanted) {
    if (wanted.server !== undefined) {
      const server = report.hosts.indexOf(wanted.server);
      if (server >= 0) return serverView(server, wanted.result);
    }
    if (wanted.check !== undefined) {
      const check = report.checks.findIndex(({ name }) => name === wanted.check);
      if (check >= 0) return checkView(check);
    }
    const name = wanted["about-group"];
    return name !== undefined && report.groups.some((groups) => groups.includes(name)) ? groupView(name) : null;
  }

  const back = () => go({});

  // The filter

  function filter() {
    const wanted = filters();
    const isActive = Object.values(wanted).some(Boolean);
    const wasActive = kept?.isActive;
    kept = keep(wanted, isActive);
    if (isActive || wasActive) narrow();
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
    const found = { isActive, fits, servers: [], checks: new Set(), ofCheck: [], counts: [0, 0, 0, 0, 0], results: 0 };
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
    const one = servers.length === 1;
    const name = who ?? (one ? report.hosts[servers[0]] : counted(servers.length, "server"));
    const element = make(
      "details",
      { class: "finding" },
      make(
        "summary",
        {},
        badge(kindOf(row)),
        make("span", { class: "what" }, report.texts[row[MESSAGE]]),
        make("span", { class: "who" }, name),
      ),
    );
    // Few are opened of many.
    element.addEventListener("toggle", () => element.children.length > 1 || element.append(evidence(check, row, servers, link)));
    element.reveal = () => element.children.length > 1 || element.append(evidence(check, row, servers, link));
    return element;
  }

  function evidence(check, row, servers, link) {
    const output = row[OUTPUT] < 0 ? null : report.texts[row[OUTPUT]];
    const missing =
      output === null ? "The output is left out here, to keep this page small. It is in audit.json." : "There is no output.";
    return make(
      "div",
      { class: "evidence" },
      output ? make("pre", { role: "group", tabindex: "0", "aria-label": "Output" }, output) : note(missing),
      report.texts[row[NOTE]] ? note(report.texts[row[NOTE]]) : null,
      report.texts[row[WAIVER]] ? make("p", {}, report.texts[row[WAIVER]]) : null,
      hostsOf(check, servers, link),
    );
  }

  function hostsOf(check, servers, link, most = SHOWN_SERVERS) {
    const list = make("ul", { class: "hosts" });
    const items = servers.slice(0, most).map((server) => {
      const command = report.commandColumns[report.commandOf[check]]?.[server] ?? -1;
      const [id, words] = report.commands[command] ?? ["", ""];
      const to = link ?? { href: `#s${server}`, name: report.hosts[server] };
      return make(
        "li",
        {},
        make("a", { href: to.href }, to.name),
        words ? make("span", {}, words) : null,
        id && servers.length === 1 ? make("code", {}, id) : null,
      );
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
      let waits = false;
      this.box.addEventListener("scroll", () => {
        if (waits) return;
        waits = true;
        requestAnimationFrame(() => {
          waits = false;
          this.fill();
        });
      });
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
      const table = make("table", { "aria-rowcount": this.rows.length + 1 }, head(this.shown, true), this.body);
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
        const row = rowOf(server, this.shown, true);
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

  function head(checks, hasLinks) {
    const name = (check) => report.checks[check].name;
    return make(
      "thead",
      {},
      make(
        "tr",
        {},
        make("th", { scope: "col", class: "corner" }, "Server"),
        ...checks.map((check) =>
          make(
            "th",
            { scope: "col" },
            hasLinks ? make("a", { href: `#c${check}`, title: name(check) }, name(check)) : make("span", {}, name(check)),
          ),
        ),
      ),
    );
  }

  function rowOf(server, checks, hasLinks) {
    const name = report.hosts[server];
    const header = make("th", { scope: "row" }, hasLinks ? make("a", { href: `#s${server}`, id: `r${server}` }, name) : name);
    const row = make("tr", {}, header);
    if (report.reasons[server]) {
      row.append(make("td", { class: "reason", colspan: Math.max(1, checks.length) }, report.reasons[server]));
      return row;
    }
    for (const check of checks) row.append(cellOf(server, check, hasLinks));
    return row;
  }

  function cellOf(server, check, hasLinks) {
    const place = report.columns[check][server];
    if (place < 0) return document.createElement("td");
    const answer = report.answers[place];
    const kind = kindOf(answer);
    const cell = document.createElement("td");
    cell.className = kind;
    if (!hasLinks || !report.isFinding(place)) {
      cell.textContent = signOf(answer);
      return cell;
    }
    const sign = signOf(answer);
    const words = answer[OUTCOME] === FAILED ? `failed, ${kind}` : kind;
    cell.append(
      make(
        "a",
        {
          href: `#s${server}`,
          id: `x${server}-${check}`,
          "data-server": server,
          "data-check": check,
          "aria-label": `${sign}: ${words}`,
          title: report.texts[answer[MESSAGE]],
        },
        sign,
      ),
    );
    return cell;
  }

  // A server, a check or a group by itself

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
    return make("section", { class: "panel", "aria-label": heading }, make("h3", {}, heading), ...children.filter(Boolean));
  }

  function inWords({ counts, failed, score }) {
    const worst = [...SEVERITIES.entries()].reverse().filter(([severity]) => failed[severity]);
    return facts([
      ["Score", score],
      ["Failed", worst.length ? worst.map(([place, name]) => `${number(failed[place])} ${name}`).join(", ") : "nothing"],
      ["Unknown", number(counts[UNKNOWN])],
      ["Waived", number(counts[WAIVED])],
      ["Passed", number(counts[PASSED])],
      ["Not applicable", number(counts[NOT_APPLICABLE])],
    ]);
  }

  function serverView(server, wanted) {
    const results = report.columns
      .map((column, check) => ({ check, answer: column[server] }))
      .filter(({ answer }) => answer >= 0)
      .sort((one, other) => rankOf(other) - rankOf(one) || one.check - other.check);
    const groups = report.groups[server].flatMap((name, place) => [
      place ? ", " : "",
      make("a", { href: "#", "data-group": name }, name),
    ]);
    const name = report.about("name", server);
    const about = facts([
      ["Name", name === report.hosts[server] ? "" : name],
      ["System", report.about("os", server)],
      ["Agent", report.about("agent", server)],
      ["IP address", report.about("ip", server)],
      ["Owner", report.about("owner", server)],
      ["Groups", groups.length ? make("span", {}, ...groups.filter(Boolean)) : ""],
      ["Id", report.about("id", server)],
      ["Workspace", report.about("workspace", server)],
    ]);
    const items = results.map(({ check, answer }) => {
      const link = { href: `#c${check}`, name: report.checks[check].name };
      const item = finding(check, answer, [server], link.name, link);
      if (wanted === link.name) {
        item.classList.add("wanted");
        item.open = true;
      }
      return item;
    });
    return frame(
      report.hosts[server],
      "Server",
      panel("About", about),
      report.reasons[server] ? panel("No results", make("p", {}, report.reasons[server])) : panel("Results", inWords(report.stats([server]))),
      items.length ? panel(counted(items.length, "check"), ...items) : null,
    );
  }

  function rankOf({ answer }) {
    const [outcome, severity] = report.answers[answer];
    return [0, 20, 10, -10, 5][outcome] + severity;
  }

  const everyServer = () => report.order;

  function checkView(check) {
    const given = report.checks[check];
    const findings = report.grouped(check, everyServer(), ([outcome]) => [FAILED, UNKNOWN, WAIVED].includes(outcome));
    const others = (outcome) => report.order.filter((server) => {
      const answer = report.columns[check][server];
      return answer >= 0 && report.answers[answer][OUTCOME] === outcome;
    });
    const about = byId(`c${check}`)?.querySelector(".facts").cloneNode(true) ?? facts([["Should hold", given.title]]);
    const place = make("div", { class: "answers" });
    fill(place, check, findings);
    const list = (words, servers) =>
      servers.length ? panel(`${words} ${counted(servers.length, "server")}`, many(servers)) : null;
    return frame(
      given.name,
      `Check, severity ${SEVERITIES[given.severity]}${given.set ? `, ${given.set}` : ""}`,
      panel("About", about),
      findings.length ? panel("Findings", place) : null,
      list("Passed on", others(PASSED)),
      list("Not applicable to", others(NOT_APPLICABLE)),
    );
  }

  function many(servers, most = 200) {
    const list = make("ul", { class: "many" });
    list.append(...servers.slice(0, most).map((server) => make("li", {}, make("a", { href: `#s${server}` }, report.hosts[server]))));
    if (servers.length > most) {
      const more = make("button", { type: "button" }, `Show all ${number(servers.length)}`);
      more.addEventListener("click", () => list.replaceWith(many(servers, Infinity)));
      list.append(make("li", {}, more));
    }
    return list;
  }

  function groupView(name) {
    const servers = report.order.filter((server) => report.groups[server].includes(name));
    const fixes = report.checks
      .map((_, check) => ({ check, answers: report.grouped(check, servers, ([outcome]) => outcome === FAILED) }))
      .filter(({ answers }) => answers.length)
      .map(({ check, answers }) => {
        const failed = answers.reduce((sum, [, of]) => sum + of.length, 0);
        const severity = Math.max(...answers.map(([answer]) => report.answers[answer][SEVERITY]));
        const message = report.texts[report.answers[answers.toSorted(([, a], [, b]) => b.length - a.length)[0][0]][MESSAGE]];
        return { check, failed, severity, message, weight: WEIGHTS[severity] * (1 + Math.log2(failed)) };
      })
      .sort((one, other) => other.weight - one.weight || other.severity - one.severity || other.failed - one.failed)
      .slice(0, 10);
    const items = fixes.map(({ check, failed, severity, message }) =>
      make(
        "li",
        {},
        badge(SEVERITIES[severity]),
        make(
          "div",
          {},
          make("p", {}, make("b", {}, make("a", { href: `#c${check}` }, message)), ` on ${counted(failed, "server")}`),
          report.checks[check].remedy ? make("p", { class: "remedy" }, report.checks[check].remedy) : null,
        ),
      ),
    );
    const link = make("a", { href: hashOf({ group: name }) }, "Show this group in the grid");
    const without = servers.filter((server) => report.reasons[server]).length;
    return frame(
      name,
      `Group of ${counted(servers.length, "server")}${without ? `, ${number(without)} without results` : ""}`,
      panel("Results", inWords(report.stats(servers)), link),
      items.length ? panel("Fix these first", make("ol", { class: "fixes" }, ...items)) : null,
      panel("Servers, the worst first", serversTable(servers)),
    );
  }

  function serversTable(servers, most = 100) {
    const heads = ["Server", "System", "Owner", "Score", ...SEVERITIES.toReversed(), "Unknown"];
    const rows = servers.slice(0, most).map((server) => {
      const { counts, failed, score } = report.stats([server]);
      const cells = [...failed.toReversed(), counts[UNKNOWN]].map((value, place) =>
        make("td", { class: value && place < 5 ? `number ${SEVERITIES[4 - place]}` : "number" }, value ? number(value) : "\u00b7"),
      );
      return make(
        "tr",
        {},
        make("th", { scope: "row" }, make("a", { href: `#s${server}` }, report.hosts[server])),
        make("td", {}, report.reasons[server] || report.about("os", server)),
        make("td", {}, report.about("owner", server)),
        make("td", { class: "number" }, score),
        ...cells,
      );
    });
    const titles = heads.map((name, place) =>
      make("th", { scope: "col", class: place > 2 ? "number" : "" }, name[0].toUpperCase() + name.slice(1)),
    );
    const table = make("table", { class: "shares" }, make("thead", {}, make("tr", {}, ...titles)), make("tbody", {}, ...rows));
    const box = make("div", { class: "across", role: "region", "aria-label": "Servers", tabindex: "0" }, table);
    if (servers.length > most) {
      const more = make("button", { type: "button" }, `Show all ${number(servers.length)}`);
      more.addEventListener("click", () => box.replaceWith(serversTable(servers, Infinity)));
      box.append(more);
    }
    return box;
  }

  // What people do

  function follow(event) {
    const link = event.target.closest("a");
    if (!link) {
      const cell = event.target.closest("#grid .scroll td.passed");
      if (cell) cell.closest("tr").querySelector("th a").click();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    const [, kind, place] = /^#([sc])(\d+)$/.exec(link.getAttribute("href") ?? "") ?? [];
    if (!kind && link.dataset.group === undefined) return;
    event.preventDefault();
    if (!byId("overview").hidden) cameFrom = link;
    if (link.dataset.group !== undefined) go({ "about-group": link.dataset.group });
    else if (kind === "c") go({ check: report.checks[place].name });
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

  // Printing: all of the grid, on sheets that are as wide as paper, and every finding open; or the summary alone.

  let opened = [];

  function beforePrint() {
    const isSummary = root.dataset.print === "summary";
    const closed = [...document.querySelectorAll("details:not([open])")].filter((details) => details.checkVisibility());
    opened = isSummary ? closed.filter((details) => details.matches(".more")) : closed;
    for (const details of opened) {
      details.reveal?.();
      details.open = true;
    }
    if (!isSummary && byId("view").hidden) byId("sheets").replaceChildren(...sheets());
  }

  function sheets() {
    const checks = grid.columns();
    const servers = kept.servers.slice(0, PRINTED);
    const made = [];
    for (let first = 0; first < checks.length; first += SHEET) {
      const some = checks.slice(first, first + SHEET);
      const body = make("tbody", {}, ...servers.map((server) => rowOf(server, some, false)));
      made.push(make("table", { class: "sheet" }, head(some, false), body));
    }
    const left = kept.servers.length - servers.length;
    if (left > 0) made.push(note(`${counted(left, "server")} more, none of them worse, are in the other files of this report.`));
    return made;
  }

  function afterPrint() {
    for (const details of opened) details.open = false;
    byId("sheets").replaceChildren();
    delete root.dataset.print;
  }

  function start() {
    report = new Report(JSON.parse(byId("data").textContent));
    for (const element of document.querySelectorAll(".actions, #filters")) element.hidden = false;
    for (const section of document.querySelectorAll("#findings > .check")) {
      const rest = section.querySelector(".rest");
      if (!rest) continue;
      const button = make("button", { type: "button", class: "rest" }, "Show all answers");
      button.addEventListener("click", () => {
        const check = Number(section.dataset.check);
        const isShown = ([outcome]) => outcome === FAILED || outcome === UNKNOWN;
        fill(section.querySelector(".answers"), check, report.grouped(check, kept.ofCheck[check], isShown), Infinity);
      });
      rest.replaceWith(button);
    }
    paint();
    grid.start();
    byId("theme").addEventListener("click", () => {
      const theme = isDark() ? "light" : "dark";
      remembered(theme);
      paint(theme);
    });
    byId("print").addEventListener("click", () => print());
    byId("print-summary").addEventListener("click", () => {
      root.dataset.print = "summary";
      print();
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
    filter();
    if (location.hash) show();
  }

  root.classList.add("js");
  paint(["light", "dark"].find((theme) => theme === remembered()));
  document.addEventListener("DOMContentLoaded", start);
})();

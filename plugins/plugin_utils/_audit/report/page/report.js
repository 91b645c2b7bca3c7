/*
 * Copyright: (c) 2026, herdops.alpacon contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

// Show what the fragment of the URL names: filters, and a server or a check.
(() => {
  "use strict";

  const OUTCOMES = ["passed", "failed", "unknown", "not_applicable", "waived"];
  const [, FAILED, UNKNOWN, , WAIVED] = OUTCOMES.keys();
  const SEVERITIES = ["info", "low", "medium", "high", "critical"];
  const FILTERS = ["q", "outcome", "severity", "group", "set"];
  // Indexes of an answer.
  const [OUTCOME, SEVERITY, OUTPUT, MESSAGE, WHOLE, NOTE, WAIVER] = Array(7).keys();

  const SHOWN_ANSWERS = 12;
  const SHOWN_SERVERS = 60;
  const ROW = 28;
  // Characters of a name that fit into two lines of the grid's head.
  const LONG_NAME = 40;
  // Larger grids have only the visible rows.
  const ALL_ROWS = 150;
  const FEW_CHECKS = 40;

  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const title = () => document.querySelector("h1").textContent;
  const formatNumber = (value) => value.toLocaleString("en");
  const pluralize = (value, noun) => `${formatNumber(value)} ${noun}${value === 1 ? "" : "s"}`;
  let report;
  let filtered;
  let lastLink = null;

  // Create an element. Children that are strings become text.
  function create(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children.filter((child) => child !== null && child !== ""));
    return element;
  }

  // The data of the page: columns of numbers, with each text once.
  class Report {
    constructor(data) {
      const text = (place) => data.texts[place];
      this.texts = data.texts;
      this.checks = data.checks;
      this.answers = data.answers;
      this.columns = data.columns.map((column) => Int32Array.from(column));
      this.commands = data.commands;
      this.lookedAt = data.lookedAt;
      const { host, groups, reason, ...others } = data.servers;
      this.hosts = host.map(text);
      this.groups = groups.map((places) => places.map(text));
      this.reasons = reason.map(text);
      this.details = others;
      this.size = this.hosts.length;
      this.total = this.columns.reduce((sum, column) => sum + column.filter((answer) => answer >= 0).length, 0);
      this.hasResults = this.columns.map((column) => column.some((answer) => answer >= 0));
      this.hasFindings = this.columns.map((column) => column.some((answer) => answer >= 0 && this.isFinding(answer)));
      this.order = this.rankServers();
    }

    isFinding(answer) {
      const outcome = this.answers[answer][OUTCOME];
      return outcome === FAILED || outcome === UNKNOWN || outcome === WAIVED;
    }

    getDetail(name, server) {
      return this.texts[this.details[name][server]];
    }

    // Sort the servers: the worst first, those without results before those without findings.
    rankServers() {
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

    // Return answers to a check with their servers, the worst first.
    groupAnswers(check, servers, fits) {
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

  // Navigation

  function readHash() {
    const hash = location.hash.slice(1);
    const [, kind, place] = /^([sc])(\d+)$/.exec(hash) ?? [];
    if (kind === "s" && place < report.size) return { server: report.hosts[place] };
    if (kind === "c" && report.checks[place]) return { check: report.checks[place].name };
    return Object.fromEntries(new URLSearchParams(hash));
  }

  function toHash(wanted) {
    const filled = Object.entries(wanted).filter(([, value]) => value);
    return `#${new URLSearchParams(filled)}`;
  }

  const filters = () => Object.fromEntries(FILTERS.map((name) => [name, byId("filters").elements[name]?.value ?? ""]));

  function navigate(place) {
    location.hash = toHash({ ...filters(), ...place });
  }

  function render() {
    if (/^#(main|findings)$/.test(location.hash)) return;
    const wanted = readHash();
    for (const name of FILTERS) {
      const control = byId("filters").elements[name];
      if (control && control.value !== (wanted[name] ?? "")) control.value = wanted[name] ?? "";
    }
    const server = report.hosts.indexOf(wanted.server);
    const wasView = !byId("view").hidden;
    byId("overview").hidden = server >= 0;
    byId("view").hidden = server < 0;
    byId("view").replaceChildren(...(server < 0 ? [] : createServerView(server, wanted.result)));
    document.title = server < 0 ? title() : `${report.hosts[server]}: ${title()}`;
    if (server >= 0) {
      scrollTo(0, 0);
      const opened = byId("view").querySelector("details.finding[open]");
      if (opened) opened.scrollIntoView({ block: "center" });
      (opened?.querySelector("summary") ?? byId("view").querySelector("h2")).focus({ preventScroll: true });
      return;
    }
    updateFilter();
    const section = byId(`c${report.checks.findIndex(({ name }) => name === wanted.check)}`);
    if (section) revealCheck(section);
    else if (wasView) restoreFocus();
  }

  // Show a check, even if the filters hide it.
  function revealCheck(section) {
    section.hidden = false;
    if (section.matches("details")) section.open = true;
    section.scrollIntoView();
    section.querySelector("h3 a, summary").focus({ preventScroll: true });
  }

  // Focus the link that led to a server. The grid may have been drawn again since.
  function restoreFocus() {
    const again = lastLink?.isConnected ? lastLink : lastLink?.id && byId(lastLink.id);
    (again || byId("main")).focus();
  }

  const showOverview = () => navigate({});

  // Filters

  function updateFilter() {
    const wanted = filters();
    filtered = applyFilters(wanted, Object.values(wanted).some(Boolean));
    showFindings();
    grid.draw();
    byId("shown").textContent = describeFiltered();
  }

  let haystacks;

  function applyFilters({ q, outcome, severity, group, set }, isActive) {
    haystacks ??= report.hosts.map((host, server) =>
      [host, ...["name", "os", "ip", "owner", "agent"].map((name) => report.getDetail(name, server)), ...report.groups[server]]
        .join("\n")
        .toLowerCase(),
    );
    const words = q.toLowerCase().split(/\s+/).filter(Boolean);
    const code = OUTCOMES.indexOf(outcome);
    const least = SEVERITIES.indexOf(severity);
    const fits = (answer) => (code < 0 || answer[OUTCOME] === code) && answer[SEVERITY] >= least;
    // Each word must be in the server or in the check. These are the words that a server lacks.
    const missing = haystacks.map((text) => words.filter((word) => !text.includes(word)));
    const found = { isActive, checks: new Set(), ofCheck: [], counts: [0, 0, 0, 0, 0], results: 0 };
    const isMatching = new Uint8Array(report.size);
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
        isMatching[server] = 1;
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
        isMatching[server] || !isActive || (!ofResults && report.reasons[server] && inGroup[server] && !missing[server].length),
    );
    return found;
  }

  function describeFiltered() {
    const of = filtered.isActive ? ` of ${formatNumber(report.total)}` : "";
    const where = `on ${pluralize(filtered.servers.length, "server")} and ${pluralize(filtered.checks.size, "check")}`;
    const numbers = `${formatNumber(filtered.counts[FAILED])} failed, ${formatNumber(filtered.counts[UNKNOWN])} unknown`;
    return `${filtered.isActive ? "Showing " : ""}${formatNumber(filtered.results)}${of} results: ${numbers}, ${where}`;
  }

  function showFindings() {
    for (const section of document.querySelectorAll("#findings > .check")) {
      const check = Number(section.dataset.check);
      const answers = report.groupAnswers(check, filtered.ofCheck[check], ([outcome]) => outcome === FAILED || outcome === UNKNOWN);
      section.hidden = answers.length === 0;
      fillAnswers(section.querySelector(".answers"), check, answers);
    }
    for (const section of document.querySelectorAll("#clean > .check"))
      section.hidden = !filtered.checks.has(Number(section.dataset.check));
    byId("none").hidden = Boolean(document.querySelector("#findings > .check:not([hidden])"));
  }

  function fillAnswers(place, check, answers, most = SHOWN_ANSWERS) {
    const shown = answers.slice(0, most).map(([answer, servers]) => createFinding(check, answer, servers));
    if (answers.length > most) {
      const more = create("button", { type: "button", class: "rest" }, `Show all ${formatNumber(answers.length)} answers`);
      more.addEventListener("click", () => {
        fillAnswers(place, check, answers, Infinity);
        place.children[most].querySelector("summary").focus();
      });
      shown.push(more);
    }
    place.replaceChildren(...shown);
  }

  const getKind = ([outcome, severity]) => (outcome === FAILED ? SEVERITIES[severity] : OUTCOMES[outcome]);
  const createBadge = (kind) => create("span", { class: `badge ${kind}` }, kind.replace("_", " "));
  const createNote = (words) => create("p", { class: "muted" }, words);

  function createFinding(check, answer, servers, who = null, link = null) {
    const row = report.answers[answer];
    const name = who ?? (servers.length === 1 ? report.hosts[servers[0]] : pluralize(servers.length, "server"));
    const what = create("span", { class: "what" }, report.texts[row[MESSAGE]]);
    const summary = create("summary", {}, createBadge(getKind(row)), what, create("span", { class: "who" }, name));
    const element = create("details", { class: "finding" }, summary);
    // Fill it only once it is opened, since a page may have thousands.
    element.reveal = () => element.children.length > 1 || element.append(createEvidence(check, row, servers, link));
    element.addEventListener("toggle", element.reveal);
    return element;
  }

  function createEvidence(check, row, servers, link) {
    const output = report.texts[row[OUTPUT]];
    return create(
      "div",
      { class: "evidence" },
      report.texts[row[WHOLE]] ? create("p", {}, report.texts[row[WHOLE]]) : null,
      output ? create("pre", { role: "group", tabindex: "0", "aria-label": "Output" }, output) : createNote("There is no output."),
      ...[NOTE, WAIVER].map((place) => (report.texts[row[place]] ? createNote(report.texts[row[place]]) : null)),
      createLookedAt(check, servers),
      createHosts(check, servers, link),
    );
  }

  // What the check looked at on the first of these servers.
  function createLookedAt(check, servers) {
    const place = report.lookedAt[check]?.[servers[0]];
    if (place === undefined) {
      return null;
    }
    const title = servers.length === 1 ? "Looked at" : `Looked at on ${report.hosts[servers[0]]}`;
    const text = create("pre", { role: "group", tabindex: "0", "aria-label": title }, report.texts[place]);
    return create("div", { class: "looked-at" }, createNote(`${title}:`), text);
  }

  function createHosts(check, servers, link, most = SHOWN_SERVERS) {
    const list = create("ul", { class: "hosts" });
    const items = servers.slice(0, most).map((server) => {
      const ran = report.texts[report.commands[check][server]] ?? "";
      const to = link ?? { href: `#s${server}`, name: report.hosts[server] };
      const words = create("span", {}, servers.length === 1 ? ran : ran.split(",")[0]);
      return create("li", {}, create("a", { href: to.href }, to.name), words);
    });
    list.append(...items);
    if (servers.length > most) {
      const more = create("button", { type: "button" }, `Show all ${formatNumber(servers.length)} servers`);
      more.addEventListener("click", () => list.replaceWith(createHosts(check, servers, link, Infinity)));
      list.append(create("li", {}, more));
    }
    return list;
  }

  const getSign = ([outcome, severity]) =>
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
      return [...report.checks.keys()].filter((check) => filtered.checks.has(check) && has[check]);
    },

    draw() {
      this.shown = this.columns();
      this.rows = filtered.servers;
      this.body = create("tbody", {});
      this.drawn = [-1, -1];
      const table = create("table", { "aria-rowcount": this.rows.length + 1 }, createHead(this.shown), this.body);
      this.box.replaceChildren(table);
      this.fill();
    },

    // Draw the visible rows, and some around them.
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
        const row = createRow(server, this.shown);
        row.setAttribute("aria-rowindex", first + place + 2);
        return row;
      });
      this.body.replaceChildren(...this.space(first), ...rows, ...this.space(this.rows.length - last));
      if (focused) byId(focused)?.focus({ preventScroll: true });
    },

    space(rows) {
      if (!rows) return [];
      const row = create("tr", { class: "space", "aria-hidden": "true" }, create("td", { colspan: this.shown.length + 1 }));
      row.style.height = `${rows * ROW}px`;
      return [row];
    },

    // Focus the next cell with a link in the direction of an arrow key.
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

  function createHead(checks) {
    const heads = checks.map((check) => {
      const { name, of } = report.checks[check];
      // The name of a rule begins with that of its scanner.
      const parts = name.slice(of ? of.length + 1 : 0).split(/(?<=[_-])/);
      const words = parts.flatMap((part) => [part, create("wbr", {})]);
      return create("th", { scope: "col" }, create("a", { href: `#c${check}`, title: name }, ...words));
    });
    const isTall = heads.some((head) => head.textContent.length > LONG_NAME);
    const row = create("tr", {}, create("th", { scope: "col", class: "corner" }, "Server"), ...heads);
    return create("thead", { class: isTall ? "tall" : "" }, row);
  }

  function createRow(server, checks) {
    const link = create("a", { href: `#s${server}`, id: `r${server}` }, report.hosts[server]);
    const row = create("tr", {}, create("th", { scope: "row" }, link));
    if (report.reasons[server])
      row.append(create("td", { class: "reason", colspan: Math.max(1, checks.length) }, report.reasons[server]));
    else for (const check of checks) row.append(createCell(server, check));
    return row;
  }

  function createCell(server, check) {
    const place = report.columns[check][server];
    const cell = document.createElement("td");
    if (place < 0) return cell;
    const answer = report.answers[place];
    const kind = getKind(answer);
    const sign = getSign(answer);
    cell.className = kind;
    if (!report.isFinding(place)) {
      cell.textContent = sign;
      return cell;
    }
    const to = { href: `#s${server}`, id: `x${server}-${check}`, "data-server": server, "data-check": check };
    const words = answer[OUTCOME] === FAILED ? `failed, ${kind}` : kind;
    const texts = { "aria-label": `${sign}: ${words}`, title: report.texts[answer[MESSAGE]] };
    cell.append(create("a", { ...to, ...texts }, sign));
    return cell;
  }

  function createFact([name, value]) {
    return value ? create("div", {}, create("dt", {}, name), create("dd", {}, value)) : null;
  }

  function createPanel(heading, ...children) {
    return create("section", { class: "panel", "aria-label": heading }, create("h3", {}, heading), ...children);
  }

  function createServerView(server, wanted) {
    const rankOf = ({ answer: [outcome, severity] }) => [0, 20, 10, -10, 5][outcome] + severity;
    const results = report.columns
      .map((column, check) => ({ check, place: column[server], answer: report.answers[column[server]] }))
      .filter(({ answer }) => answer)
      .sort((one, other) => rankOf(other) - rankOf(one) || one.check - other.check);
    const groups = report.groups[server].map((name) => create("a", { href: toHash({ group: name }) }, name));
    const name = report.getDetail("name", server);
    const facts = [
      ["Name", name === report.hosts[server] ? "" : name],
      ["System", report.getDetail("os", server)],
      ["Agent", report.getDetail("agent", server)],
      ["IP address", report.getDetail("ip", server)],
      ["Owner", report.getDetail("owner", server)],
      ["Groups", groups.length ? create("span", { class: "list" }, ...groups) : ""],
      ["Id", report.getDetail("id", server)],
      ["Workspace", report.getDetail("workspace", server)],
      ["Answers", report.getDetail("earlier", server)],
    ];
    const items = results.map(({ check, place }) => {
      const link = { href: `#c${check}`, name: report.checks[check].name };
      const item = createFinding(check, place, [server], link.name, link);
      item.open = wanted === link.name;
      return item;
    });
    const failed = results.filter(({ answer }) => answer[OUTCOME] === FAILED).length;
    const button = create("button", { type: "button", class: "back" }, "\u2190 Back to the overview");
    button.addEventListener("click", showOverview);
    const reason = report.reasons[server];
    return [
      button,
      create("div", {}, create("p", { class: "muted" }, "Server"), create("h2", { tabindex: "-1" }, report.hosts[server])),
      createPanel("About", create("dl", { class: "facts" }, ...facts.map(createFact))),
      ...(reason ? [createPanel("No results", create("p", {}, reason))] : []),
      ...(items.length ? [createPanel(`${pluralize(items.length, "check")}, ${formatNumber(failed)} failed`, ...items)] : []),
    ];
  }

  // Events

  function onClick(event) {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const href = link.getAttribute("href") ?? "";
    if (href.startsWith("#group=")) byId("filters").scrollIntoView();
    const [, kind, place] = /^#([sc])(\d+)$/.exec(href) ?? [];
    if (!kind) return;
    event.preventDefault();
    if (!byId("overview").hidden) lastLink = link;
    if (kind === "c") navigate({ check: report.checks[place].name });
    else {
      const result = link.dataset.check === undefined ? "" : report.checks[link.dataset.check].name;
      navigate({ server: report.hosts[place], result });
    }
  }

  function onKeydown(event) {
    if (event.key === "Escape" && !byId("view").hidden) return showOverview();
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const cell = event.target.closest("#grid td a");
    if (!cell || !step) return;
    event.preventDefault();
    grid.move(cell, step);
  }

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function setTheme(theme) {
    if (theme) root.dataset.theme = theme;
    const button = byId("theme");
    if (!button) return;
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Show in ${button.textContent.toLowerCase()} colours`);
  }

  // Return the stored theme, after storing another one. A browser may refuse to store anything for a file.
  function storedTheme(theme) {
    try {
      if (theme) localStorage.setItem("theme", theme);
      return localStorage.getItem("theme");
    } catch {
      return null;
    }
  }

  // Findings that are open on paper only.
  let opened = [];

  function beforePrint() {
    // Filters print what they show. Without them, tables have all results, and few findings have their outputs, too.
    byId("overview").classList.toggle("filtered", filtered?.isActive ?? false);
    const isBrief = byId("view").hidden && byId("overview").matches(".brief:not(.filtered)");
    const closed = document.querySelectorAll("details:is(.finding, .changes *):not([open])");
    opened = [...closed].filter((details) => !isBrief || !details.matches(".finding")).filter((details) => details.checkVisibility());
    for (const details of opened) {
      details.reveal?.();
      details.open = true;
    }
  }

  function afterPrint() {
    for (const details of opened) details.open = false;
    opened = [];
  }

  function start() {
    report = new Report(JSON.parse(byId("data").textContent));
    for (const element of document.querySelectorAll(".actions, #filters")) element.hidden = false;
    setTheme();
    grid.start();
    byId("theme").addEventListener("click", () => {
      const theme = isDark() ? "light" : "dark";
      storedTheme(theme);
      setTheme(theme);
    });
    const change = () => {
      history.replaceState(null, "", toHash(filters()));
      updateFilter();
    };
    byId("filters").addEventListener("input", change);
    byId("filters").addEventListener("reset", () => setTimeout(change));
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("click", onClick);
    document.addEventListener("keydown", onKeydown);
    addEventListener("hashchange", render);
    addEventListener("beforeprint", beforePrint);
    addEventListener("afterprint", afterPrint);
    render();
  }

  setTheme(["light", "dark"].find((theme) => theme === storedTheme()));
  document.addEventListener("DOMContentLoaded", start);
})();

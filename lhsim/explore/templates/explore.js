"use strict";
// The page asks for answers and shows their parts; each figure is shown as it came.
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const COLOURS = [["#c44e25", "#f08a63"], ["#1f6fb4", "#6fb3ee"], ["#3a8f4d", "#7ed197"], ["#7d55a8", "#c3a0ea"], ["#8a6d1f", "#e8c069"], ["#5b5b5b", "#b5b5b5"]];
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  const SLIDERS = ["agents", "interval", "rate", "connections"];
  const WAIT = 40; // after the last move of a slider, before it is asked [ms]
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const kept = new Map(); // complete answers, by link
  let state, answer, chart, timer, asked;

  // --- numbers as people read them ---------------------------------------------------------------

  const digits = (number, count = 3) => Number(number.toPrecision(count)).toLocaleString("en-US", { maximumSignificantDigits: Math.max(count, String(Math.trunc(number)).length) });
  const whole = (number) => Math.round(number).toLocaleString("en-US");
  function duration(seconds) {
    if (seconds === 0) return "0 s";
    for (const [factor, unit] of [[1e6, "µs"], [1e3, "ms"]]) {
      if (Number((seconds * factor).toPrecision(3)) < 1000) return `${digits(seconds * factor)} ${unit}`;
    }
    return `${digits(seconds)} s`;
  }
  const rate = (perSecond) => (perSecond >= 1 ? `${digits(perSecond)} a second` : `one every ${duration(1 / perSecond)}`);
  const TEXTS = { agents: whole, interval: duration, rate, connections: (n) => (n === null ? "no limit" : whole(n)) };
  const figure = (p) => (p.overloaded ? "overloaded" : p.value === null ? "unknown" : (p.at_least ? "more than " : "") + duration(p.value));
  const named = (p) => (p.overloaded ? "overloaded" : `${quantile()} ${figure(p)}`);
  function between(low, high, text) {
    if (low === null) return "";
    if (high === null) return `${text(low)} or more`;
    const [number, unit] = text(low).split(" ");
    return `${unit === text(high).split(" ")[1] ? number : text(low)}–${text(high)}`;
  }
  function held({ value, low, high, exact }) { // a capacity, as far as it is known
    if (value === null) return low === null ? "no number of agents that was tried" : `${whole(low)} agents or more`;
    return `${exact ? "" : "about "}${whole(value)} agents (${between(low, high, whole)})`;
  }
  // What a latency does not tell: it is that of the messages which were delivered.
  const lost = ({ delivered, overloaded }) => (!overloaded && delivered !== null && delivered < 0.999 ? `delivers only ${digits(100 * delivered)} % of the messages` : "");

  // --- the state: controls and the link ----------------------------------------------------------

  const described = (name) => page.systems.find((one) => one.name === name);
  function own(key) { // what the first chosen system that has such a parameter says
    const found = state.systems.map(described).find((one) => one[key] !== null);
    return found ? found[key] : null;
  }
  // Where a slider stops: null stands for what each model says, in the place of the first one's value.
  function stops(key) {
    const found = page.stops[key].map((value) => ({ value, at: value }));
    const add = (value, at) => { if (!found.some((one) => one.value === value)) found.push({ value, at }); };
    if (key !== "agents") {
      const said = own(key);
      if (said === null && key !== "connections") return [{ value: null, at: 0 }];
      const same = found.findIndex((one) => one.value === said);
      if (same >= 0) found.splice(same, 1);
      add(null, said ?? Infinity);
    }
    if (state[key] !== null && !page.kept) add(state[key], state[key]);
    return found.sort((a, b) => a.at - b.at);
  }
  const SUFFIX = { interval: "s", rate: "/s" };
  function link(of = state) {
    const pairs = of.systems.map((name) => ["system", name]);
    for (const key of SLIDERS) if (of[key] !== null) pairs.push([key, of[key] + (SUFFIX[key] ?? "")]);
    return String(new URLSearchParams([...pairs, ["slo", of.slo]]));
  }
  const UNITS = { "": 1, us: 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, "/s": 1, "/min": 1 / 60, "/h": 1 / 3600 };
  function number(text) { // as the server reads it, who refuses what is none
    const [, digits, unit] = /^\s*([-+.\deE]+)\s*([a-z/]*)\s*$/.exec(text) ?? [];
    const scale = UNITS[unit];
    return scale === undefined ? NaN : scale >= 1 ? Number(digits) * scale : Number(digits) / Math.round(1 / scale);
  }
  function read(text) {
    const given = new URLSearchParams(text), start = new URLSearchParams(page.start);
    const systems = given.getAll("system").filter(described);
    const value = (key) => (given.has(key) && Number.isFinite(number(given.get(key))) ? number(given.get(key)) : null);
    return {
      systems: systems.length ? page.systems.map((one) => one.name).filter((name) => systems.includes(name)) : start.getAll("system"),
      agents: value("agents") ?? Number(start.get("agents")),
      interval: value("interval"), rate: value("rate"), connections: value("connections"),
      slo: given.get("slo") ?? start.get("slo"),
    };
  }
  function showControls() {
    for (const box of $("systems").querySelectorAll("input")) box.checked = state.systems.includes(box.value);
    for (const key of SLIDERS) {
      const found = stops(key), slider = $(key);
      let index = found.findIndex((one) => one.value === state[key]);
      if (index < 0) { // an offline page has some values alone: the nearest
        const distance = (one) => Math.abs(Math.log(one.at / state[key]));
        index = found.indexOf([...found].sort((a, b) => distance(a) - distance(b))[0]);
        state[key] = found[index].value;
      }
      slider.max = found.length - 1;
      slider.value = index;
      slider.disabled = found.length < 2;
      const shown = state[key] ?? own(key);
      const text = shown === null && key !== "connections" ? "not in these systems" : TEXTS[key](shown) + (state[key] === null && key !== "agents" && shown !== null ? ", as in the model" : "");
      $(`${key}-text`).textContent = text;
      slider.setAttribute("aria-valuetext", text);
    }
    if (document.activeElement !== $("slo")) $("slo").value = state.slo;
  }
  function change(changes, wait = WAIT) {
    Object.assign(state, changes);
    asked?.abort();
    showControls();
    history.replaceState(null, "", `#${link()}`);
    clearTimeout(timer);
    timer = setTimeout(ask, wait);
  }

  // --- asking ------------------------------------------------------------------------------------

  const empty = () => ({ state: { ...state }, systems: Object.fromEntries(state.systems.map((name) => [name, {}])), decision: null, status: "" });
  function merge(into, part) {
    if (part.system) Object.assign(into.systems[part.system], part);
    else Object.assign(into, part);
  }
  const ready = (of) => Object.values(of.systems).every((one) => one.curve);
  function show(found) {
    answer = found;
    render();
  }
  function refuse(text) {
    $("error").textContent = text;
    $("main").setAttribute("aria-busy", "false");
    $("status").textContent = "";
  }
  async function ask() {
    const mine = (asked = new AbortController()), here = link(), found = empty();
    $("error").textContent = "";
    $("main").dataset.stale = "";
    if (page.kept) return fromKept(found);
    if (kept.has(here)) return show(kept.get(here));
    $("main").setAttribute("aria-busy", "true");
    try {
      const response = await fetch(`answers?${here}`, { signal: mine.signal });
      if (!response.ok) return refuse((await response.json()).error);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        const lines = (rest + piece.value).split("\n");
        rest = lines.pop();
        for (const line of lines) merge(found, JSON.parse(line));
        if (mine !== asked) return;
        if (found.error) return refuse(found.error);
        if (found.outdated) found.status = "Stopped: another window has asked. Reload to go on.";
        if (ready(found)) show(found);
        else $("status").textContent = found.status;
      }
      if (found.done) kept.set(here, found);
    } catch (error) {
      if (error.name !== "AbortError") refuse("The server does not answer: is lhsim explore still running?");
    }
  }
  function fromKept(found) {
    for (const name of state.systems) {
      const { curve, python, toml, capacities } = page.kept[name][`${state.interval ?? ""}|${state.rate ?? ""}`];
      const at = curve.find((one) => one.agents === state.agents) ?? { agents: state.agents, value: null, low: null, high: null, delivered: null, doubts: [] };
      found.systems[name] = { curve, toml, point: at, python: python.replace("{agents}", state.agents), capacity: capacities[state.slo] };
    }
    if (!Object.values(found.systems).every((one) => one.capacity)) return refuse(`${state.slo} is not kept; allowed: ${page.objectives.join(", ")}`);
    show(found);
  }

  // --- showing an answer -------------------------------------------------------------------------

  const colour = (name) => COLOURS[page.systems.findIndex((one) => one.name === name) % COLOURS.length][dark.matches ? 1 : 0];
  const dash = (name) => DASHES[page.systems.findIndex((one) => one.name === name) % DASHES.length];
  // Whether a system meets the objective: its capacity says it, and, until that is exact, its latency.
  function holds({ point, capacity }) {
    const { agents } = answer.state, level = limit();
    if (capacity && agents <= (capacity.low ?? 0)) return "keeps";
    if (capacity && capacity.high !== null && agents > capacity.high) return "fails";
    if (capacity?.exact || !level || point.doubts.length || point.at_least) return "unsure";
    if (point.overloaded || (point.low !== null && point.low > level)) return "fails";
    return point.high !== null && point.high < level ? "keeps" : "unsure";
  }
  const WORDS = { keeps: "Meets the objective", fails: "Misses the objective", unsure: "Too close to call" };
  const quantile = () => /^\s*(p[\d.]+|mean)/.exec(answer.state.slo)?.[1] ?? "p99";
  const list = (names) => names.join(", ").replace(/, ([^,]*)$/, " and $1");
  function sentence() {
    const all = Object.entries(answer.systems), of = (verdict) => all.filter(([, one]) => holds(one) === verdict);
    const names = (some) => list(some.map(([name]) => name)), count = whole(answer.state.agents);
    const [best] = of("keeps"), unsure = of("unsure"), fails = of("fails");
    const agents = `${count} agent${answer.state.agents === 1 ? "" : "s"}`;
    if (unsure.some(([, one]) => !one.capacity)) return null;
    const doubt = unsure.length ? ` Too close to call: ${names(unsure)}.` : "";
    if (!best) return unsure.length ? `No system surely meets ${answer.state.slo} with ${agents}.${doubt}` : `No chosen system meets ${answer.state.slo} with ${agents}.`;
    const { capacity } = best[1], agrees = capacity && (capacity.value ?? capacity.low) >= answer.state.agents;
    const miss = fails.length ? ` Missed by ${names(fails)}.` : "";
    return `Choose ${best[0]}: it meets ${answer.state.slo} with ${agents}${agrees ? `, and holds ${held(capacity)}` : ""}.${lost(best[1].point) && ` But it ${lost(best[1].point)}.`}${miss}${doubt}`;
  }
  function element(tag, text = "", attributes = {}, ...children) {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }
  function render() {
    const text = sentence(); // null: not yet
    $("main").setAttribute("aria-busy", String(text === null));
    if (text !== null) delete $("main").dataset.stale;
    if (text !== null) say(text);
    $("status").textContent = answer.status ? `${answer.status}…` : "";
    $("figures").replaceChildren(...Object.entries(answer.systems).map(([name, one]) => {
      const { point, capacity } = one, verdict = holds(one);
      const range = between(point.low, point.high, duration), item = element("li", "", {}, element("strong", name));
      item.style.setProperty("--colour", colour(name));
      item.append(` ${named(point)}${range && !point.overloaded ? ` (${range})` : ""}${lost(point) && `, ${lost(point)}`}`);
      if (capacity) item.append(`; holds ${held(capacity)}${capacity.extrapolated && verdict !== "fails" ? ", beyond what was measured" : ""}`);
      if (capacity || verdict !== "unsure") item.append(". ", element("span", WORDS[verdict], { class: `verdict ${verdict}` }));
      return item;
    }));
    renderTable();
    renderChart();
    const { decision } = answer;
    $("decision").replaceChildren(...(decision ? [element("h3", "Decision, with the uncertainty of the parameters"), element("p", decision.text), ...(decision.python ? [code(decision.python, "Python")] : [])] : []));
    renderAgain();
  }
  // Shows the answer, and tells it to a screen reader when a verdict has changed: not for each digit.
  function say(text) {
    $("answer").textContent = text;
    const key = link(answer.state) + Object.values(answer.systems).map(holds);
    if ($("said").dataset.key !== key) $("said").textContent = text;
    $("said").dataset.key = key;
  }
  function marks(point) {
    return [lost(point), point.extrapolated && "beyond what was measured", ...point.doubts].filter(Boolean).join("; ");
  }
  function renderTable() {
    const head = element("tr", "", {}, ...["System", "Agents", quantile(), "95 % interval", "Notes"].map((one) => element("th", one, { scope: "col" })));
    const rows = Object.entries(answer.systems).flatMap(([name, { curve }]) => curve.map((p) => element("tr", "", {}, ...[name, whole(p.agents), figure(p), p.overloaded ? "" : between(p.low, p.high, duration), marks(p)].map((one) => element("td", one)))));
    $("table").replaceChildren(element("thead", "", {}, head), element("tbody", "", {}, ...rows));
  }
  function code(text, what) {
    const pre = element("pre", text, { tabindex: "0", "aria-label": what }), button = element("button", `Copy ${what}`, { type: "button" });
    button.addEventListener("click", () => copy(text, button));
    return element("div", "", { class: "code" }, pre, button);
  }
  async function copy(text, button) {
    const before = button.dataset.text ?? button.textContent;
    button.dataset.text = before;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch { // a page from the disk, or a reader who does not allow it
      button.textContent = "Select the text to copy it";
    }
    setTimeout(() => { button.textContent = before; }, 1500);
  }
  function renderAgain() {
    const key = JSON.stringify(Object.values(answer.systems).map(({ python, point, toml, capacity }) => [python, point, toml, capacity?.python]));
    if ($("again").dataset.key === key) return; // an open model file stays open
    $("again").dataset.key = key;
    $("again").replaceChildren(...Object.entries(answer.systems).flatMap(([name, { python, point, toml, capacity }]) => [
      element("h3", name),
      ...(point.value === null ? [] : [element("p", `${quantile()} with ${whole(answer.state.agents)} agents: ${point.value} s`), code(python, "Python")]),
      ...(capacity?.python && capacity.value !== null ? [element("p", `Capacity: ${capacity.value} agents`), code(capacity.python, "Python of the capacity")] : []),
      ...(capacity?.python ? [element("details", "", {}, element("summary", "About this capacity"), ...capacity.sentences.map((one) => element("p", one)))] : []),
      element("details", "", {}, element("summary", "The model file"), code(toml, "TOML")),
    ]));
  }

  // --- the chart ---------------------------------------------------------------------------------

  function renderChart() {
    const names = Object.keys(answer.systems);
    const xs = [...new Set(names.flatMap((name) => answer.systems[name].curve.map((p) => p.agents)))].sort((a, b) => a - b);
    const column = (name, key) => {
      const values = new Map(answer.systems[name].curve.map((p) => [p.agents, p[key]]));
      return xs.map((x) => values.get(x)); // null breaks a line, and what is not there does not
    };
    const text = getComputedStyle(document.body).color, line = getComputedStyle($("result")).borderTopColor;
    const quiet = getComputedStyle($("status")).color, font = "13px system-ui, sans-serif";
    const series = [{}], bands = [], data = [xs];
    for (const name of names) {
      series.push({ stroke: colour(name), width: 2, dash: dash(name), points: { show: false } });
      for (let end = 0; end < 2; end++) series.push({ stroke: "transparent", width: 0, points: { show: false } });
      bands.push({ series: [series.length - 1, series.length - 2], fill: `${colour(name)}33` });
      data.push(column(name, "value"), column(name, "low"), column(name, "high"));
    }
    const decades = (_, splits) => splits.map((one) => (one !== null && Number.isInteger(Math.round(Math.log10(one) * 1e6) / 1e6) ? one : null));
    const lines = { stroke: line, width: 1, filter: decades };
    const axis = { stroke: text, font, labelFont: font, grid: lines, ticks: lines };
    const said = (say) => (_, splits) => splits.map((one) => (one === null ? "" : say(one)));
    const options = {
      width: $("chart").clientWidth, height: $("chart").clientHeight, padding: [14, 32, 0, 0], legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false, distr: 3 }, y: { distr: 3 } }, series, bands,
      axes: [
        { ...axis, label: "agents", labelSize: 22, filter: decades, values: said(whole) },
        { ...axis, label: `${quantile()} latency`, labelSize: 22, size: 74, filter: decades, values: said(duration) },
      ],
      hooks: { draw: [(u) => drawMarks(u, names, text, quiet)] },
    };
    chart?.destroy();
    chart = new uPlot(options, data, $("chart"));
    $("chart").setAttribute("aria-label", `${quantile()} latency against the number of agents: ${names.map((name) => `${name} ${named(answer.systems[name].point)} at ${whole(answer.state.agents)}`).join("; ")}`);
    const used = names.flatMap((name) => answer.systems[name].curve);
    $("chart-caption").textContent = ["Bands: 95 % intervals.", used.some((p) => p.extrapolated) && "Hollow points: beyond the loads that were measured.", used.some((p) => p.overloaded) && "Crosses at the top: overloaded, no latency settles.", used.some((p) => p.at_least && !p.overloaded) && "Arrows: at least so long.", "Upright line: the chosen number of agents. Level line: the objective; its thick part: the capacity."].filter(Boolean).join(" ");
  }
  function limit() { // of a latency [s]; null where the objective is about something else
    const match = /^\s*(?:p[\d.]+|mean)\s*<=?\s*(.+)$/.exec(answer.state.slo);
    return match && number(match[1]) > 0 ? number(match[1]) : null;
  }
  function drawMarks(u, names, text, quiet) {
    const { ctx, bbox } = u, scale = devicePixelRatio, size = 4 * scale;
    const x = (value) => u.valToPos(value, "x", true), y = (value) => u.valToPos(value, "y", true);
    const stroke = (colour, width, draw, dash = []) => {
      Object.assign(ctx, { strokeStyle: colour, lineWidth: width * scale });
      ctx.setLineDash(dash);
      ctx.beginPath();
      draw();
      ctx.stroke();
    };
    const segment = (...ends) => () => { ctx.moveTo(ends[0], ends[1]); ctx.lineTo(ends[2], ends[3]); };
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left - size, bbox.top - 3 * size, bbox.width + 2 * size, bbox.height + 4 * size);
    ctx.clip();
    stroke(text, 1, segment(x(answer.state.agents), bbox.top, x(answer.state.agents), bbox.top + bbox.height), [2 * scale, 3 * scale]);
    const level = limit();
    if (level) stroke(quiet, 1, segment(bbox.left, y(level), bbox.left + bbox.width, y(level)), [6 * scale, 4 * scale]);
    const surface = getComputedStyle($("result")).backgroundColor;
    for (const name of names) {
      const { curve, capacity } = answer.systems[name], own = colour(name);
      if (level && capacity?.low && capacity.high) stroke(own, 5, segment(x(capacity.low), y(level), x(capacity.high), y(level)));
      for (const p of curve) {
        const at = x(p.agents), top = p.overloaded || p.value === null ? bbox.top - size : y(p.value);
        if (p.overloaded) stroke(own, 2, () => { segment(at - size, top - size, at + size, top + size)(); segment(at - size, top + size, at + size, top - size)(); });
        else if (p.value !== null) stroke(own, 2, () => {
          if (p.at_least) { ctx.moveTo(at - size, top + size); ctx.lineTo(at, top - size); ctx.lineTo(at + size, top + size); ctx.closePath(); }
          else ctx.arc(at, top, size * 0.8, 0, 2 * Math.PI);
          ctx.fillStyle = p.extrapolated ? surface : own;
          ctx.fill();
        });
      }
    }
    ctx.restore();
  }

  // --- the beginning -----------------------------------------------------------------------------

  for (const one of page.systems) {
    const box = element("input", "", { type: "checkbox", value: one.name });
    box.addEventListener("change", () => {
      const systems = page.systems.map((each) => each.name).filter((name) => (name === one.name ? box.checked : state.systems.includes(name)));
      if (systems.length) change({ systems });
      else box.checked = true; // one has to be there
    });
    $("systems").append(element("label", "", { title: one.description }, box, one.name));
  }
  for (const key of SLIDERS) $(key).addEventListener("input", () => change({ [key]: stops(key)[Number($(key).value)].value }));
  for (const one of page.objectives ?? ["p99<1500ms", "p99<100ms", "p50<50ms", "mean<200ms", "utilization<80%", "memory<1GB"]) $("objectives").append(element("option", "", { value: one }));
  $("slo").addEventListener("input", () => change({ slo: $("slo").value.trim() }, 400));
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("copy-link").addEventListener("click", (event) => copy(location.href, event.target));
  function restore() {
    const hash = location.hash.slice(1);
    const bad = [...new URLSearchParams(hash)].find(([key, text]) => (key === "system" ? !described(text) : key !== "slo" && !(SLIDERS.includes(key) && number(text) > 0)));
    state = read(hash);
    if (!bad) return change({}, 0);
    showControls();
    refuse(`The link says ${bad.join("=")}, which this page does not offer.`);
  }
  addEventListener("hashchange", restore);
  dark.addEventListener("change", () => answer && render());
  new ResizeObserver(() => chart && chart.setSize({ width: $("chart").clientWidth, height: $("chart").clientHeight })).observe($("chart"));
  restore();
})();

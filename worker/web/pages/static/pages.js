// Makes pages live: times in the viewer's zone, plots, and a refresh when the server says that something changed.
// Without it everything works too, by loading a page again.
"use strict";
(() => {
  const page = document.getElementById("page");

  // ---- Times
  const today = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const earlier = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  function times() {
    const now = new Date().toDateString();
    for (const one of page.querySelectorAll("time[datetime]")) {
      const at = new Date(one.dateTime);
      one.textContent = (at.toDateString() === now ? today : earlier).format(at);
      one.title = one.dateTime;
    }
  }

  // ---- Plots
  const drawn = new Map();
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // Lines with holes: single minutes would not be seen.
  const dotted = ["p50", "p99", "sent", "needed", "stale", "event"];
  const names = { p50: "p50", p99: "p99", patches: "PATCHes", calls: "calls", limited: "429s", needed: "needed", sent: "sent", stale: "oldest due copy", event: "oldest event" };
  function line(name, first) {
    const colour = style(first ? "--accent" : "--faint-ink");
    return { label: names[name], stroke: colour, width: 1.5, points: { show: dotted.includes(name), size: 3, fill: colour }, spanGaps: false };
  }
  function options(box, lines) {
    const axis = { stroke: style("--muted"), font: "11px system-ui, sans-serif", ticks: { show: false } };
    const unit = box.dataset.unit || "";
    return {
      width: box.clientWidth, height: 150, legend: { show: false }, cursor: { y: false, drag: { x: false } },
      scales: { y: { range: (_, low, high) => [0, Math.max(high || 0, unit ? 0.1 : 1) * 1.1] } },
      axes: [
        { ...axis, grid: { show: false }, size: 26, space: 60, values: (_, at) => at.map((s) => clock.format(new Date(s * 1000))) },
        { ...axis, size: 44, space: 34, ...(unit ? {} : { incrs: whole }), grid: { stroke: style("--line"), width: 1 }, values: (_, all) => all.map((n) => n + (unit && " " + unit)) },
      ],
      series: [{}, ...lines.map((name, n) => line(name, n === 0))],
    };
  }
  const whole = [1, 10, 100, 1e3, 1e4, 1e5].flatMap((n) => [n, 2 * n, 5 * n]);
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  function plots() {
    const from = document.getElementById("numbers");
    if (!from || !window.uPlot) return;
    const numbers = JSON.parse(from.dataset.numbers);
    for (const box of page.querySelectorAll(".plot")) {
      const lines = box.dataset.lines.split(" ");
      const data = [numbers.at, ...lines.map((name) => numbers[name])];
      const plot = drawn.get(box);
      if (plot) plot.setData(data);
      else drawn.set(box, new uPlot(options(box, lines), data, box));
    }
  }
  function again() {
    for (const [box, plot] of drawn) {
      plot.destroy();
      drawn.delete(box);
    }
    plots();
  }

  // ---- Live
  let source = null, resting = false, missed = false;
  function refresh() {
    if (resting || document.hidden) { missed = true; return; }
    resting = true; missed = false;
    const begun = performance.now();
    page.addEventListener("htmx:finally:request", () => {
      // A page that is slow to make is asked for less often.
      setTimeout(() => { resting = false; if (missed) refresh(); }, Math.max(500, 9 * (performance.now() - begun)));
    }, { once: true });
    htmx.trigger(page, "changed");
  }
  function listen() {
    if (source || document.hidden) return;
    source = new EventSource(document.body.dataset.live);
    source.addEventListener("changed", refresh);
    source.addEventListener("error", () => {
      if (source && source.readyState === EventSource.CLOSED) { source = null; setTimeout(listen, 5000); }
    });
  }
  function visible() {
    if (document.hidden) { if (source) source.close(); source = null; }
    else { listen(); refresh(); }
  }

  function start() {
    times();
    plots();
    page.addEventListener("htmx:after:swap", () => { times(); plots(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    let late;
    addEventListener("resize", () => { clearTimeout(late); late = setTimeout(again, 150); });
    if (document.body.dataset.live && window.EventSource) {
      document.addEventListener("visibilitychange", visible);
      addEventListener("pagehide", () => { if (source) source.close(); source = null; });
      listen();
    }
  }
  start();
})();

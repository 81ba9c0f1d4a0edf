/* Draws the overlaid plots of a comparison with uPlot; one cursor for all. Data: the JSON in the page. */
(function () {
    "use strict";
    var data = JSON.parse(document.getElementById("plots").textContent);
    var css = getComputedStyle(document.documentElement);
    var color = { kernel: css.getPropertyValue("--kernel").trim(), user: css.getPropertyValue("--user").trim() };
    var soft = css.getPropertyValue("--soft").trim(), line = css.getPropertyValue("--line").trim();
    var named = { kernel: "kernel", user: "ours" };

    /* Series with x of their own become columns over one x. */
    function join(series) {
        var tables = series.map(function (s) { return [s.x, s.y]; });
        return uPlot.join(tables);
    }

    function axis(label) {
        return { label: label, stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
    }

    /* All plots begin at 0 and end together, so that they can be read below each other. */
    var end = 1;
    [data.sequence, data.window, data.rtt].forEach(function (list) {
        list.forEach(function (s) { end = Math.max(end, s.x.length ? s.x[s.x.length - 1] : 0); });
    });
    function fromZero(u, min, max) { return [0, (max || 1) * 1.08]; }

    function chart(id, ylabel, series) {
        var box = document.getElementById(id);
        series = series.filter(function (s) { return s.x.length; });
        if (!series.length) {
            box.textContent = "Nothing to draw: no such packets or samples.";
            return;
        }
        var options = {
            width: Math.min(1040, box.clientWidth),
            height: 300,
            cursor: { sync: { key: "time" }, drag: { x: true, y: false } },
            scales: { x: { time: false, min: 0, max: end }, y: { range: fromZero } },
            axes: [axis("ms since the first packet"), axis(ylabel)],
            series: [{ label: "ms" }].concat(series.map(function (s) {
                var points = s.draw === "points";
                return {
                    label: named[s.stack] + " " + s.name,
                    stroke: color[s.stack],
                    width: points ? 0 : 1.6,
                    dash: s.draw === "dash" ? [6, 4] : undefined,
                    spanGaps: true,
                    paths: points ? function () { return null; } : s.draw === "steps" ? uPlot.paths.stepped({ align: 1 }) : undefined,
                    points: { show: points, size: 8, fill: points ? color[s.stack] : undefined }
                };
            }))
        };
        box.textContent = "";
        new uPlot(options, join(series), box);
        box.setAttribute("data-drawn", String(series.length));
    }

    chart("sequence", "KiB of the stream", data.sequence);
    chart("window", "KiB", data.window);
    chart("rtt", "ms", data.rtt);
    document.body.setAttribute("data-ready", "1");
})();

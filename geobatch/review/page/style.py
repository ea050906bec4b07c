"""The style sheet of the page: light and dark, from a phone to a desktop."""

STYLE = """
:root {
  color-scheme: light dark;
  --back: #ffffff; --card: #f6f7f9; --text: #1b1f24; --soft: #57606a; --line: #d5dae0;
  --accent: #0b62c4; --tile: #0b62c4; --above: #8db7e8; --warn: #8a4b00; --warn-back: #fff4e0;
  --bad: #a4161a; --bad-back: #fdecec; --good: #17642c; --square: #e3e6ea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171b; --card: #1c2127; --text: #e3e7ec; --soft: #9aa5b1; --line: #343b44;
    --accent: #6cb0ff; --tile: #4d9bf5; --above: #274a73; --warn: #f3c27a; --warn-back: #33270f;
    --bad: #ff9a94; --bad-back: #3a1a1a; --good: #7ed69a; --square: #2b3139;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; overflow-wrap: anywhere;
}
h1 { font-size: 1.45rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
a { color: var(--accent); }
.verdict { font-weight: 600; padding: .5rem .8rem; border-radius: .5rem; display: inline-block; }
.verdict.good { color: var(--good); background: var(--card); }
.verdict.warn { color: var(--warn); background: var(--warn-back); }
.verdict.bad { color: var(--bad); background: var(--bad-back); }
.facts { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; list-style: none; }
.facts li { background: var(--card); border-radius: .5rem; padding: .3rem .7rem; }
.soft { color: var(--soft); font-size: .9rem; }
ul { padding-left: 1.2rem; } li { margin: .2rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .35rem .7rem; vertical-align: top; }
tr { border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td { min-width: 5rem; overflow-wrap: normal; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
details {
  border: 1px solid var(--line); border-radius: .6rem; margin: .6rem 0; background: var(--card);
}
summary { cursor: pointer; padding: .6rem .8rem; }
details > div { padding: 0 .9rem .9rem; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; margin: .8rem 0; }
figure { margin: 0; flex: 0 1 20rem; min-width: 9rem; }
figure.map { flex-basis: 18rem; }
figcaption { font-size: .85rem; color: var(--soft); margin-top: .25rem; }
figure img {
  width: 100%; height: auto; display: block; image-rendering: pixelated; border-radius: .3rem;
  background: conic-gradient(
    var(--square) 25%, transparent 0 50%, var(--square) 0 75%, transparent 0
  ) 0 0 / 16px 16px;
}
svg { width: 100%; height: auto; display: block; }
svg .outline { fill: var(--back); stroke: var(--soft); stroke-width: 1; }
svg .tile { fill: var(--tile); } svg .above { fill: var(--above); }
svg .box { fill: var(--tile); fill-opacity: .35; stroke: var(--tile); stroke-width: 1; }
svg .grid { stroke: var(--line); stroke-width: .5; fill: none; }
svg .bar { fill: var(--tile); } svg .zero { stroke: var(--bad); stroke-width: 1; }
svg text { fill: var(--soft); font-size: 9px; font-family: system-ui, sans-serif; }
.key i {
  display: inline-block; width: .8em; height: .8em; border-radius: .15em; margin: 0 .3em 0 .8em;
}
@media (max-width: 600px) {
  body { padding: .7rem; } .row { gap: .6rem; }
  figure { flex: 0 1 calc(50% - .4rem); min-width: 0; } figure.map { flex-basis: 100%; }
}
"""

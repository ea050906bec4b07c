// What is known of one asset, how it is shown, what changed, and how other programs open it.
import * as api from './api.js';
import { $, count, day, el, number } from './dom.js';
import { openLines } from './open.js';

export class Detail {
  constructor({ view, onClose, onShown }) {
    Object.assign(this, { view, onClose, onShown, box: $('detail'), turn: 0, folder: '', series: [] });
  }

  close() {
    this.turn++;
    this.one = null;
    this.box.hidden = true;
    this.view.start(false);
    this.view.image = null;
    this.view.show([]);
    this.view.differ(null);
    this.view.point(null);
  }

  async open(id, { at = '', other = '', keep = false } = {}) {
    const turn = ++this.turn;
    this.box.hidden = false;
    if (!this.one || !keep) this.box.replaceChildren(el('p', { class: 'note', text: 'Loading' }));
    let one, past;
    try {
      [one, past, this.store, this.plans] = await Promise.all([api.asset(id), api.history(id), api.store(), api.plans()]);
    } catch (error) {
      if (turn === this.turn) this.fail(id, error);
      return;
    }
    if (turn !== this.turn) return;
    const before = keep ? this.style : null;
    this.one = one;
    this.past = past;
    this.at = past.commits.some((commit) => commit.commit === at) ? at : one.commit;
    this.other = other;
    this.plan = null;
    this.isTable = one.kind === 'table';
    if (!this.isTable) {
      const same = before && before.bands.every((name) => one.bands.some((band) => band.id === name));
      this.style = same ? before : { bands: one.style.bands, colormap: 'grey', stretches: {} };
      this.pixels = keep && this.pixels ? true : !one.is_on_map;
    }
    this.draw();
    if (!this.isTable) this.refresh(!keep);
    this.loadSeries(id, turn);
    this.onShown();
  }

  fail(id, error) {
    this.one = null;
    this.view.show([]);
    this.box.replaceChildren(this.head(id), el('p', { class: 'error', role: 'alert', text: error.message }));
  }

  head(id) {
    return el('div', { class: 'top' }, el('h2', { tabindex: '-1', id: 'title' }, id.split('/').flatMap((part, index) => (index ? ['/', el('wbr'), part] : [part]))),
      el('button', { type: 'button', id: 'close', text: 'Back to the list', onclick: () => this.onClose() }));
  }

  draw() {
    const one = this.one;
    const parts = [this.head(one.id), this.facts()];
    if (!this.isTable) parts.push(this.shownAs(), this.levels(), this.history(), this.seriesPart(), this.plansPart(), this.whyPart());
    else parts.push(this.history());
    const lines = openLines(one, this.store, this.isTable ? null : { style: this.query(), band: this.style.bands[0] });
    parts.push(el('h3', { text: 'Open it elsewhere' }), el('div', { id: 'open' }, lines.map(copyPart)));
    this.box.replaceChildren(...parts.filter(Boolean));
  }

  facts() {
    const one = this.one;
    const rows = [['Kind', one.kind.replace('_', ' ')], ['Time', [day(one.start), one.end && one.end !== one.start ? day(one.end) : ''].filter(Boolean).join(' to ')]];
    if (this.isTable) rows.push(['Rows', number(one.rows)], ['Columns', one.columns.join(', ')]);
    else {
      for (const grid of one.grids) {
        const name = one.grids.length > 1 ? `Grid ${grid.name}` : 'Grid';
        rows.push([name, `${number(grid.levels[0][1])} × ${number(grid.levels[0][0])} pixels, ${grid.crs}`]);
      }
      rows.push(['Bands', one.bands.map((band) => `${band.id} (${band.dtype}${band.unit ? `, ${band.unit}` : ''})`).join(', ')]);
    }
    const isLegend = !this.isTable && this.band().palette;
    for (const [key, value] of Object.entries(one.properties)) if (!isLegend || !/(^|_)class_[0-9]+$/.test(key)) rows.push([key, number(value)]);
    if (one.memo) rows.push(['Memo', one.memo]);
    return el('dl', {}, rows.filter(([, value]) => value).map(([key, value]) => [el('dt', { text: key }), el('dd', { text: value })]));
  }

  band() {
    return this.one.bands.find((band) => band.id === this.style.bands[0]);
  }

  grid() {
    return this.one.grids.find((grid) => grid.name === this.band().grid);
  }

  stretch(name) {
    const band = this.one.bands.find((one) => one.id === name);
    return this.style.stretches[name] || band.stretch;
  }

  query() {
    const found = { bands: this.style.bands.join(',') };
    const pairs = this.style.bands.map((name) => this.stretch(name));
    if (!this.band().palette && pairs.every(Boolean)) found.rescale = pairs.flat().join(',');
    if (this.style.colormap !== 'grey' && this.style.bands.length === 1) found.colormap = this.style.colormap;
    return found;
  }

  shownAs() {
    const one = this.one;
    const band = this.band();
    const choices = one.bands.map((each) => el('option', { value: each.id, text: each.id, selected: this.style.bands.length === 1 && each.id === band.id }));
    if (one.style.bands.length === 3) choices.unshift(el('option', { value: one.style.bands.join(','), text: `${one.style.bands.join(', ')} in colour`, selected: this.style.bands.length === 3 }));
    const parts = [];
    if (!api.site.isStatic) {
      parts.push(el('label', {}, 'Band', el('select', { id: 'band', onchange: (event) => this.restyle({ bands: event.target.value.split(',') }) }, choices)));
      const isPlain = !band.palette && this.style.bands.length === 1;
      if (isPlain && band.stretch) {
        const [low, high] = this.stretch(band.id);
        const input = (id, value) => el('input', { id, type: 'number', step: 'any', value: String(Number(value.toPrecision(6))), onchange: () => this.restretch() });
        parts.push(el('div', { class: 'pair' }, el('label', {}, 'Darkest value', input('low', low)), el('label', {}, 'Brightest value', input('high', high))));
        parts.push(el('label', {}, 'Colours', el('select', { id: 'colormap', onchange: (event) => this.restyle({ colormap: event.target.value }) },
          one.colormaps.map((name) => el('option', { value: name, text: name, selected: name === this.style.colormap })))));
      }
    }
    if (band.palette) parts.push(legend(band.palette, one.properties));
    if (band.damage) parts.push(el('p', { class: 'error', role: 'alert', text: band.damage }));
    const press = (isPixels, text) => el('button', { type: 'button', 'aria-pressed': String(this.pixels === isPixels), text, id: isPixels ? 'as-pixels' : 'as-map',
      disabled: !isPixels && !one.is_on_map, onclick: () => { this.pixels = isPixels; this.draw(); this.refresh(true); } });
    parts.push(el('div', { class: 'buttons', role: 'group', 'aria-label': 'How the map shows it' }, press(false, 'On the map'), press(true, 'As stored')));
    if (!one.is_on_map) parts.push(el('p', { class: 'note', text: 'It reaches a pole, which this map does not show: its pixels are shown as they are stored.' }));
    return el('section', {}, el('h3', { text: 'Shown as' }), el('div', { class: 'fields' }, parts));
  }

  restyle(change) {
    this.style = { ...this.style, ...change };
    this.draw();
    this.refresh(false);
    $(change.bands ? 'band' : 'colormap')?.focus();
  }

  restretch() {
    const [low, high] = ['low', 'high'].map((id) => Number($(id).value));
    if (!Number.isFinite(low) || !Number.isFinite(high)) return;
    this.style = { ...this.style, stretches: { ...this.style.stretches, [this.band().id]: [low, high] } };
    this.refresh(false);
  }

  levels() {
    const grid = this.grid();
    const size = Math.hypot(grid.transform[0], grid.transform[3]);
    const press = (shape, level) => el('button', { type: 'button', class: 'level', text: `${level}: ${number(shape[1])} × ${number(shape[0])}`,
      title: `a pixel is ${number(size * 2 ** level)} units of ${grid.crs}`, onclick: () => this.zoomTo(level) });
    return el('section', {}, el('h3', { text: 'Levels' }), el('div', { class: 'buttons' }, grid.levels.map(press)),
      el('p', { class: 'note', id: 'level' }));
  }

  zoomTo(level) {
    const levels = this.grid().levels.length;
    if (this.pixels) this.view.map.setZoom(levels - 1 - level);
    else this.view.map.setZoom(Math.round(this.zoomOf(0)) - level);
    this.sayLevel();
  }

  // The zoom at which a pixel of a level is as large as one of the map.
  zoomOf(level) {
    const [left, bottom, right, top] = this.one.bbox;
    const wide = (right < left ? right + 360 : right) - left;
    const middle = Math.cos((((bottom + top) / 2) * Math.PI) / 180);
    const [rows, columns] = this.grid().levels[0];
    const degrees = Math.min(wide / columns, ((top - bottom) / rows) / Math.max(middle, 0.01));
    return Math.log2(360 / 256 / degrees) - level;
  }

  sayLevel() {
    const place = $('level');
    if (!place || !this.one || this.isTable) return;
    const levels = this.grid().levels.length;
    const zoom = this.view.map.getZoom();
    const level = this.pixels ? levels - 1 - zoom : Math.round(this.zoomOf(0)) - zoom;
    const shown = Math.min(Math.max(level, 0), levels - 1);
    place.textContent = `The map shows level ${shown}${level < 0 ? ', enlarged' : level >= levels ? ', reduced' : ''}.`;
    for (const [index, button] of [...this.box.querySelectorAll('.level')].entries()) button.setAttribute('aria-pressed', String(index === shown));
  }

  history() {
    const commits = [...this.past.commits].reverse();
    const at = Math.max(commits.findIndex((one) => one.commit === this.at), 0);
    const index = this.past.commits.some((one) => one.commit === this.at) ? at : commits.length - 1;
    const title = el('h3', { text: 'History' });
    const whole = this.past.is_whole ? '' : ' Older commits were not read.';
    if (commits.length < 2 || this.isTable) return el('section', {}, title, el('p', { class: 'note', text: commits.length ? `${label(commits.at(-1))}.${whole}` : 'No commit.' }));
    const text = el('p', { id: 'commit', class: 'note', text: label(commits[index]) });
    const slider = el('input', { id: 'history', type: 'range', min: '0', max: String(commits.length - 1), value: String(index), 'aria-describedby': 'commit',
      oninput: (event) => {
        const one = commits[event.target.value];
        text.textContent = label(one);
        event.target.setAttribute('aria-valuetext', label(one));
        this.setAt(one.commit);
      } });
    const others = commits.map((one) => el('option', { value: one.commit, text: label(one).slice(0, 70), selected: one.commit === this.other }));
    const choose = el('select', { id: 'other', onchange: (event) => this.setOther(event.target.value) }, el('option', { value: '', text: 'nothing' }), others.reverse());
    const compare = el('button', { type: 'button', id: 'compare', text: 'Compare with the commit before', onclick: () => {
      const now = commits.findIndex((one) => one.commit === this.at);
      const from = now > 0 ? now : commits.length - 1;
      this.at = commits[from].commit;
      slider.value = String(from);
      text.textContent = label(commits[from]);
      this.setOther(commits[from - 1].commit);
      choose.value = this.other;
    } });
    return el('section', {}, title, el('div', { class: 'fields' },
      el('label', {}, `${count(commits.length, 'commit')} changed it`, slider), text, compare,
      el('label', {}, 'Left of the swipe', choose), el('p', { id: 'changes', class: 'note', role: 'status', text: whole })));
  }

  setAt(commit) {
    this.at = commit;
    this.plan = null;
    this.refresh(false);
  }

  setOther(commit) {
    this.other = commit;
    this.plan = null;
    this.refresh(false);
  }

  async loadSeries(id, turn) {
    const folder = id.slice(0, id.lastIndexOf('/') + 1);
    if (!folder || this.isTable) return;
    if (folder !== this.folder) {
      const found = await api.assets({ prefix: folder }, 0, 1000).catch(() => ({ assets: [] }));
      if (turn !== this.turn) return;
      this.folder = folder;
      this.inFolder = found.assets.filter((one) => one.start && one.kind !== 'table' && !one.id.slice(folder.length).includes('/'))
        .sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : a.id < b.id ? -1 : 1));
      this.isCut = found.total > found.assets.length;
    }
    // Of a folder, the images whose ids differ from that of this one only in digits.
    const own = this.inFolder.find((one) => one.id === id);
    this.series = own ? this.inFolder.filter((one) => one.bands === own.bands && pattern(one.id) === pattern(id)) : [];
    const place = $('series');
    if (place) place.replaceWith(this.seriesPart());
  }

  seriesPart() {
    const index = this.series.findIndex((one) => one.id === this.one.id);
    if (index < 0 || this.series.length < 2) return el('section', { id: 'series' });
    const text = el('p', { id: 'moment', class: 'note', text: `${day(this.one.start)}, ${index + 1} of ${this.series.length}${this.isCut ? ' that were read' : ''}` });
    const slider = el('input', { id: 'time', type: 'range', min: '0', max: String(this.series.length - 1), value: String(index), 'aria-valuetext': day(this.one.start),
      oninput: (event) => {
        const one = this.series[event.target.value];
        text.textContent = `${day(one.start)}, ${one.id}`;
        clearTimeout(this.later);
        this.later = setTimeout(() => this.open(one.id, { keep: true }).then(() => $('time')?.focus()), 120);
      } });
    return el('section', { id: 'series' }, el('h3', { text: 'Time' }), el('label', {}, `Images of ${this.folder.replace(/\/$/, '')}`, slider), text);
  }

  plansPart() {
    const found = this.plans.plans.filter((one) => !one.assets || one.assets.includes(this.one.id));
    if (!found.length) return null;
    const name = (one) => (one.kind === 'plan' ? one.name : `rehearsed ${one.made.slice(0, 16).replace('T', ' ')}${one.base_number ? ` on commit ${one.base_number}` : ''}, ${one.id.slice(0, 8)}`);
    return el('section', {}, el('h3', { text: 'Plans' }), el('label', {}, 'Show what a plan changes',
      el('select', { id: 'plan', onchange: (event) => this.setPlan(found.find((one) => one.id === event.target.value)) },
        el('option', { value: '', text: 'nothing' }), found.map((one) => el('option', { value: one.id, text: name(one), selected: one.id === this.plan?.id })))),
    el('p', { id: 'plan-changes', class: 'note', role: 'status' }));
  }

  async setPlan(plan) {
    this.plan = plan || null;
    if (plan?.kind === 'rehearsal') this.other = this.one.commit;
    else if (!plan) this.other = '';
    await this.refresh(false);
  }

  whyPart() {
    const text = api.site.isStatic ? 'A site of files cannot answer; `geobatch serve` can.' : 'Click the map.';
    return el('section', {}, el('h3', { text: 'Why is a pixel as it is?' }), api.site.isStatic ? null
      : el('button', { type: 'button', id: 'why-centre', text: 'Explain the centre of the map', onclick: () => this.why(this.view.position(this.view.map.getCenter())) }),
    el('div', { id: 'why', role: 'status' }, el('p', { class: 'note', text })));
  }

  async why({ latlng, ...where }) {
    if (!this.one || this.isTable || api.site.isStatic) return;
    this.view.point(latlng);
    const place = $('why');
    place.replaceChildren(el('p', { class: 'note', text: 'Loading' }));
    const at = this.plan?.at || this.at;
    let found;
    try {
      found = await api.why(this.one.id, { ...where, at, bands: this.style.bands.join(',') });
    } catch (error) {
      place.replaceChildren(el('p', { class: 'error', text: error.message }));
      return;
    }
    place.replaceChildren(...whyLines(found));
    place.scrollIntoView({ block: 'nearest' });
  }

  // Shows what is chosen: states, style, and what differs.
  async refresh(isNew) {
    const one = this.one;
    const grid = this.grid();
    const image = { levels: grid.levels.length, shape: grid.levels[0], bounds: null, limits: {} };
    const key = `${one.id} ${grid.name}`;
    if (this.pixels) this.view.start(true, this.view.image?.key === key && this.view.isPixels ? this.view.image : { ...image, key });
    else {
      this.view.start(false);
      const box = one.bbox;
      this.view.image = { ...image, key, limits: api.site.isStatic ? one.zooms : {} };
      // Across the antimeridian, tiles of both ends of the map are under the image.
      if (box && box[2] >= box[0] && box[0] >= -180 && box[2] <= 180) this.view.image.bounds = [[box[1], box[0]], [box[3], box[2]]].map(([lat, lon]) => [Math.min(Math.max(lat, -85.05), 85.05), lon]);
    }
    this.onZoom = this.onZoom || (() => this.sayLevel());
    this.view.map.off('zoomend', this.onZoom);
    this.view.map.on('zoomend', this.onZoom);
    if (isNew) this.view.fit(one.bbox);
    if (!this.pixels) this.view.outline([one], one.id);
    const right = this.plan?.at || this.at;
    const states = this.other && this.other !== right ? [this.other, right] : [right];
    const kind = this.pixels ? 'native' : 'tiles';
    this.view.show(states.map((state) => api.tiles(kind, this.idAt(state), state, this.query())), () => this.view.damage());
    $('left-side').textContent = states.length > 1 ? this.name(states[0]) : '';
    $('right-side').textContent = states.length > 1 ? this.name(right) : '';
    this.sayLevel();
    await this.showChanges(states, grid);
  }

  idAt(state) {
    return this.past.commits.find((one) => one.commit === state)?.id || this.one.id;
  }

  name(state) {
    const commit = this.past.commits.find((one) => one.commit === state);
    if (commit) return `commit ${commit.number}, ${day(commit.time)}`;
    return state.startsWith('rehearsal:') ? `plan ${state.slice(10, 18)}` : 'published';
  }

  async showChanges(states, grid) {
    const turn = (this.asked = (this.asked || 0) + 1);
    const place = $(this.plan ? 'plan-changes' : 'changes');
    for (const id of ['plan-changes', 'changes']) if ($(id)) $(id).textContent = '';
    if (states.length < 2 && !this.plan) {
      this.view.differ(null);
      return;
    }
    try {
      const found = this.plan ? await api.planTiles(this.plan.id, this.one.id) : await api.diff(states[0], states[1], this.one.id);
      if (turn !== this.asked) return;
      const many = this.view.differ(found, grid.tile);
      const omitted = found.geobatch?.omitted ? `; ${number(found.geobatch.omitted)} more are not drawn` : '';
      if (place) place.textContent = many ? `${count(many, 'tile')} ${many === 1 ? 'differs' : 'differ'}${omitted}: added green, changed pink, removed brown.` : 'No tile differs.';
    } catch (error) {
      this.view.differ(null);
      if (place) place.textContent = error.message;
    }
  }
}

// The names of classes, where properties such as `class_3` have them.
function legend(palette, properties) {
  const named = Object.keys(properties).map((key) => /(?:^|_)class_([0-9]+)$/.exec(key)).filter((match) => match && palette[match[1]])
    .sort((a, b) => a[1] - b[1]);
  if (!named.length) return el('p', { class: 'note', text: 'Colours are those of the palette of the band.' });
  return el('ul', { class: 'legend', 'aria-label': 'Classes' }, named.map((match) => {
    const swatch = el('span', { class: 'swatch' });
    swatch.style.background = `rgb(${palette[match[1]].slice(0, 3).join(' ')})`;
    return el('li', {}, swatch, `${match[1]} ${properties[match.input]}`);
  }));
}

const pattern = (id) => id.replace(/[0-9]+/g, '#');
const label = (one) => `Commit ${one.number}, ${one.time.slice(0, 16).replace('T', ' ')}${one.user_message || one.message ? `: ${one.user_message || one.message}` : ''}`;

function copyPart({ name, text, note }) {
  const button = el('button', { type: 'button', text: 'Copy', 'aria-label': `Copy the line for ${name}`, onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand('copy');
    }
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  } });
  const code = el('pre', { text });
  return el('div', { class: 'copy' }, el('div', {}, el('b', { text: name }), button), code, note ? el('p', { class: 'note', text: note }) : null);
}

function whyLines(found) {
  if (!found.is_inside) return [el('p', { class: 'note', text: 'This place is outside of the image.' })];
  const lines = [];
  for (const band of found.bands) {
    const value = band.damage ? 'damaged' : band.value === null ? 'masked: no value' : `${number(band.value)}${band.physical != null ? ` = ${number(band.physical)} ${band.unit || ''}` : band.unit ? ` ${band.unit}` : ''}`;
    lines.push(el('p', { class: 'value', text: `${band.band}: ${value}` }));
    if (band.damage) lines.push(el('p', { class: 'error', text: band.damage }));
    if (band.mask > 0 && band.mask < 255) lines.push(el('p', { class: 'note', text: `${Math.round(band.mask / 2.55)} % valid` }));
    if (band.note) lines.push(el('p', { class: 'note', text: band.note }));
    if (band.since) {
      lines.push(el('p', { text: `Its tile is as it is since commit ${band.since.number}${band.since.time ? `, ${band.since.time.slice(0, 10)}` : ''}, because:` }));
      lines.push(el('ul', {}, band.since.reasons.map((reason) => el('li', { text: reason }))));
      if (band.built.length) lines.push(el('p', { class: 'note', text: `${band.policy} of the tiles ${band.built.join(', ')}` }));
      lines.push(el('p', { text: band.sources.length ? 'Sources under the tile:' : 'No source is under the tile: it is masked.' }));
      lines.push(el('ul', {}, band.sources.map((one) => el('li', { text: `${one.uri}, band ${one.band}` })), band.more_sources ? el('li', { text: `and ${band.more_sources} more` }) : null));
    }
  }
  lines.push(el('p', { class: 'note', text: `Pixel in row ${number(found.row)}, column ${number(found.col)} of level ${found.level}. In a terminal: ${found.command}` }));
  return lines;
}

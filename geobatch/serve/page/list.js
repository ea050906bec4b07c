// The list of assets: rows are made for what is seen, and pages are fetched when they are needed.
import * as api from './api.js';
import { $, count, day, el } from './dom.js';

const HEIGHT = 52;
const PAGE = 100;
const MOST = 250000; // rows: a browser has no element of more pixels

export class List {
  constructor({ onOpen, onPage }) {
    Object.assign(this, { onOpen, onPage, query: {}, pages: new Map(), total: 0, active: 0, chosen: '', turn: 0 });
    this.box = $('list');
    this.rows = $('rows');
    this.box.addEventListener('scroll', () => this.draw());
    this.box.addEventListener('keydown', (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  async search(query) {
    this.query = query;
    const turn = ++this.turn;
    let first;
    try {
      first = await api.assets(query, 0, PAGE);
    } catch (error) {
      if (turn !== this.turn) return;
      this.pages = new Map();
      this.total = 0;
      this.rows.replaceChildren();
      this.rows.style.height = '0';
      $('count').textContent = error.message;
      $('count').classList.add('error');
      return;
    }
    if (turn !== this.turn) return;
    this.pages = new Map([[0, first.assets]]);
    this.total = first.total;
    this.active = 0;
    this.box.scrollTop = 0;
    this.rows.style.height = `${Math.min(this.total, MOST) * HEIGHT}px`;
    const more = this.total > MOST ? `; the list shows ${MOST.toLocaleString('en')}` : '';
    $('count').classList.remove('error');
    $('count').textContent = first.total === first.all
      ? count(first.total, 'asset') + more : `${first.total.toLocaleString('en')} of ${count(first.all, 'asset')}${more}`;
    this.rows.replaceChildren();
    if (!this.total) this.rows.append(nothing(first.all));
    this.draw();
    this.onPage(this.known());
  }

  known() {
    return [...this.pages.values()].flat().filter((one) => one !== null);
  }

  at(index) {
    const page = this.pages.get(Math.floor(index / PAGE));
    return Array.isArray(page) ? page[index % PAGE] : undefined;
  }

  async fetch(page) {
    if (this.pages.has(page)) return;
    const turn = this.turn;
    this.pages.set(page, []);
    try {
      const found = await api.assets(this.query, page * PAGE, PAGE);
      if (turn !== this.turn) return;
      this.pages.set(page, found.assets);
      this.draw();
      this.onPage(this.known());
    } catch {
      if (turn === this.turn) this.pages.delete(page);
    }
  }

  draw() {
    if (!this.total) return;
    const first = Math.max(Math.floor(this.box.scrollTop / HEIGHT) - 4, 0);
    const last = Math.min(first + Math.ceil(this.box.clientHeight / HEIGHT) + 8, Math.min(this.total, MOST));
    clearTimeout(this.wait);
    this.wait = setTimeout(() => {
      for (let page = Math.floor(first / PAGE); page * PAGE < last; page++) this.fetch(page);
    }, 60);
    const made = [];
    for (let index = first; index < last; index++) made.push(this.row(index));
    this.rows.replaceChildren(...made);
    this.box.setAttribute('aria-activedescendant', `row-${this.active}`);
  }

  row(index) {
    const one = this.at(index);
    const facts = one ? [day(one.start), one.kind === 'table' ? count(one.rows, 'row') : size(one)] : ['Loading'];
    const row = el('div', {
      class: `row${index === this.active ? ' active' : ''}`, role: 'option', id: `row-${index}`,
      'aria-selected': String(one !== undefined && one.id === this.chosen),
      'aria-setsize': String(this.total), 'aria-posinset': String(index + 1), title: one ? one.id : '',
      onclick: () => this.open(index),
    }, el('b', { text: one ? one.id : '' }), el('span', { text: facts.filter(Boolean).join(' · ') }));
    row.style.top = `${index * HEIGHT}px`;
    return row;
  }

  open(index) {
    const one = this.at(index);
    this.active = index;
    if (one) this.onOpen(one.id);
    this.draw();
  }

  choose(id) {
    this.chosen = id;
    this.draw();
  }

  key(event) {
    const step = Math.max(Math.floor(this.box.clientHeight / HEIGHT) - 1, 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: step, PageUp: -step, Home: -this.total, End: this.total };
    if (event.key in moves) {
      this.active = Math.min(Math.max(this.active + moves[event.key], 0), Math.min(this.total, MOST) - 1);
      const top = this.active * HEIGHT;
      if (top < this.box.scrollTop) this.box.scrollTop = top;
      if (top + HEIGHT > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + HEIGHT - this.box.clientHeight;
      this.draw();
    } else if (event.key === 'Enter' || event.key === ' ') this.open(this.active);
    else return;
    event.preventDefault();
  }
}

const size = (one) => `${one.shape[1].toLocaleString('en')} × ${one.shape[0].toLocaleString('en')} pixels, ${count(one.bands, 'band')}`;

function nothing(all) {
  if (all) return el('p', { class: 'nothing', text: 'No asset meets all conditions. Remove one of them.' });
  return el('div', { class: 'nothing' }, el('p', { text: 'This store has no assets yet. To publish some:' }),
    el('code', { text: 'geobatch apply specs/' }));
}

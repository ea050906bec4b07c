// The page: a search, a list, a map, and what is known of the chosen asset.
import * as api from './api.js';
import { $, after, count, el, say } from './dom.js';
import { Detail } from './detail.js';
import { List } from './list.js';
import { View } from './map.js';

const form = $('search');
const view = new View({ onOpen: (id) => open(id), onClick: (position) => detail.why(position) });
const list = new List({ onOpen: (id) => open(id), onPage: (known) => { if (!detail.one) view.outline(known); } });
const detail = new Detail({ view, onClose: close, onShown: () => { remember(); list.choose(detail.one.id); } });

function query() {
  const value = (name) => form.elements[name].value.trim();
  const [from, to] = [value('from'), value('to')];
  return {
    text: value('text'), bbox: value('bbox').replace(/\s/g, ''), properties: value('properties'),
    datetime: from || to ? `${from || '..'}/${to || '..'}` : '',
  };
}

function search() {
  return list.search(query());
}

function open(id, facts = {}) {
  document.body.classList.add('chosen');
  list.choose(id);
  return detail.open(id, facts).then(() => {
    view.map.invalidateSize();
    if (detail.one && !detail.isTable && !facts.keep) view.fit(detail.one.bbox);
    $('title')?.focus({ preventScroll: true });
  });
}

function close() {
  document.body.classList.remove('chosen');
  detail.close();
  list.choose('');
  location.hash = '';
  view.map.invalidateSize();
  view.outline(list.known());
  $('list').focus();
}

function remember() {
  const found = new URLSearchParams({ asset: detail.one.id });
  history.replaceState(null, '', `#${found}`);
  document.title = `${detail.one.id} – geobatch`;
}

async function start() {
  const later = after(250, search);
  form.addEventListener('input', later);
  form.addEventListener('submit', (event) => { event.preventDefault(); search(); });
  $('here').addEventListener('click', () => { form.elements.bbox.value = view.box(); search(); });
  $('clear').addEventListener('click', () => { form.reset(); search(); });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && detail.one) close();
    if (event.key === '/' && !/INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) {
      event.preventDefault();
      form.elements.text.focus();
    }
  });
  const store = {};
  try {
    Object.assign(store, await api.store());
    $('store').textContent = store.name;
    $('store').title = store.name;
    $('head').textContent = store.number ? `commit ${store.number}` : 'no commits';
  } catch (error) {
    isLost = true;
    say(error.message, true);
  }
  if (!api.site.isStatic) setInterval(() => watch(store), 10000);
  await search();
  view.around(list.known());
  const asked = new URLSearchParams(location.hash.slice(1)).get('asset');
  if (asked) await open(asked);
}

let isLost = false;
// Says that something was published since the page was opened, and offers it.
async function watch(shown) {
  let now;
  try {
    now = await api.store();
  } catch (error) {
    isLost = true;
    say(error.message, true);
    return;
  }
  if (isLost) say('');
  isLost = false;
  if (now.commit === shown.commit) return;
  Object.assign(shown, now);
  $('head').replaceChildren(el('button', { type: 'button', text: `Commit ${now.number} was published: show it`, onclick: async () => {
    $('head').textContent = `commit ${now.number}, ${count(now.assets, 'asset')}`;
    await search();
    if (detail.one) await open(detail.one.id);
  } }));
}

start();

// Asks the server; of a static site, reads the files that `geobatch site` wrote.
const isStatic = document.querySelector('meta[name="geobatch-site"]') !== null;
const base = new URL('.', document.baseURI).href;
const known = new Map();

export const site = { isStatic, base };

const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.?!`]$/.test(text) && !text.endsWith('`') ? '' : '.');

async function fetched(path) {
  let answer;
  try {
    answer = await fetch(base + path);
  } catch {
    throw new Error('The server does not answer. Is it still running?');
  }
  const value = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
  if (!answer.ok) throw new Error([value.error, value.hint].filter(Boolean).map(sentence).join(' '));
  return value;
}

const file = (path) => {
  if (!known.has(path)) known.set(path, fetched(path));
  return known.get(path);
};
const escaped = (id) => id.split('/').map(encodeURIComponent).join('/');
const withQuery = (path, query) => {
  const found = Object.entries(query).filter(([, value]) => value !== '' && value != null);
  return found.length ? `${path}?${new URLSearchParams(found)}` : path;
};

export const store = () => (isStatic ? file('api/store.json') : fetched('api/store'));
export const plans = () => (isStatic ? Promise.resolve({ plans: [] }) : fetched('api/plans'));
export const asset = (id, at) =>
  isStatic ? file(`api/assets/${escaped(id)}.json`) : fetched(withQuery(`api/assets/${escaped(id)}`, { at }));
export const history = (id) =>
  isStatic ? file(`api/history/${escaped(id)}.json`) : fetched(`api/history/${escaped(id)}`);
export const planTiles = (plan, id) => fetched(withQuery(`api/plans/${plan}`, { asset: id }));
export const why = (id, query) => fetched(withQuery(`api/why/${escaped(id)}`, query));

export async function diff(a, b, id) {
  if (!isStatic) return fetched(withQuery(`api/diff/${a}/${b}`, { asset: id }));
  return file(`api/diff/${a}/${b}/${escaped(id)}.json`);
}

export async function assets(query, offset, limit) {
  if (!isStatic) return fetched(withQuery('api/assets', { ...query, offset, limit }));
  const all = await file('api/assets.json');
  const found = all.assets.filter((one) => meets(one, query));
  return { ...all, total: found.length, offset, assets: found.slice(offset, offset + limit) };
}

// The template of a tile's URL: {z}, {x} and {y} are replaced by the map.
export function tiles(kind, id, state, style) {
  if (isStatic) return `${base}${kind}/${state.slice(0, 16)}/${escaped(id)}/{z}/{x}/{y}.png`;
  const query = new URLSearchParams({ ...style, at: state });
  return `${base}${kind}/${escaped(id)}/{z}/{x}/{y}.png?${query}`;
}

// What the server does for `api/assets`, for a site without one.
function meets(one, query) {
  if (query.text && !one.id.toLowerCase().includes(query.text.trim().toLowerCase())) return false;
  if (query.prefix && !one.id.startsWith(query.prefix)) return false;
  if (query.datetime) {
    const [from, to] = query.datetime.split('/');
    const end = one.end || one.start;
    if (!one.start || (from !== '..' && end.slice(0, 10) < from)) return false;
    if (to !== '..' && one.start.slice(0, 10) > to) return false;
  }
  if (query.bbox) {
    const [left, bottom, right, top] = query.bbox.split(',').map(Number);
    const box = one.bbox;
    if ([left, bottom, right, top].some(Number.isNaN)) throw new Error('Place: expected four numbers.');
    if (!box || box[1] > top || box[3] < bottom) return false;
    const end = box[2] < box[0] ? box[2] + 360 : box[2];
    const until = right < left ? right + 360 : right;
    if (![-360, 0, 360].some((turn) => box[0] + turn <= until && left <= end + turn)) return false;
  }
  const conditions = (query.properties || '').split(/[,;]/).map((text) => text.trim()).filter(Boolean);
  return conditions.every((text) => holds(one.properties, text));
}

function holds(properties, text) {
  const match = /^([A-Za-z0-9_:]+)\s*(<=|>=|!=|=|<|>)\s*(.*)$/.exec(text);
  if (!match) throw new Error('Properties: write `cloud<20` or `tile=T32TMN`.');
  const [, key, sign, other] = match;
  const value = properties[key];
  if (value === undefined) return false;
  const wanted = typeof value === 'number' ? Number(other) : other;
  if (Number.isNaN(wanted)) return sign === '!=';
  return { '=': value === wanted, '!=': value !== wanted, '<': value < wanted, '<=': value <= wanted,
    '>': value > wanted, '>=': value >= wanted }[sign];
}

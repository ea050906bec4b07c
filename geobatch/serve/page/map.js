// The map: tiles of one or two states, outlines of assets, and tiles that changed.
import { site } from './api.js';
import { $, say } from './dom.js';

const COLOURS = { added: '#00805f', changed: '#b8006b', removed: '#a85800' };
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class View {
  constructor({ onOpen, onClick }) {
    Object.assign(this, { onOpen, onClick, layers: [], isPixels: null, image: null });
    this.slider = $('swipe').querySelector('input');
    this.slider.addEventListener('input', () => this.clip());
    this.line = document.createElement('div');
    this.line.className = 'line';
    this.line.hidden = true;
    $('view').append(this.line);
    this.start(false);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.drawLand());
  }

  // Makes the map again: a map of the Earth, or the pixels of an image in their own grid.
  start(isPixels, image = null) {
    if (this.isPixels === isPixels && this.image === image && isPixels) return;
    if (this.isPixels === false && !isPixels) return;
    this.map?.remove();
    Object.assign(this, { isPixels, image, layers: [], outlines: null, changes: null, mark: null });
    this.map = L.map('map', {
      crs: isPixels ? L.CRS.Simple : L.CRS.EPSG3857, zoomAnimation: false, fadeAnimation: false,
      minZoom: isPixels ? -1 : 1, maxZoom: isPixels ? image.levels - 1 + 4 : 22, worldCopyJump: !isPixels,
      attributionControl: !isPixels, zoomSnap: 1,
    });
    for (const [name, depth] of [['before', 300], ['after', 310], ['marks', 420]]) {
      this.map.createPane(name).style.zIndex = String(depth);
    }
    if (!isPixels) {
      this.map.attributionControl.setPrefix('Leaflet').addAttribution('Natural Earth');
      L.control.scale({ imperial: false }).addTo(this.map);
      this.map.setView([20, 10], 2);
      this.drawLand();
    }
    this.map.on('move zoomend resize', () => this.clip());
    this.map.on('click', (event) => this.onClick(this.position(event.latlng)));
    this.map.getContainer().onkeydown = (event) => {
      if (event.key === 'Enter' && event.target === this.map.getContainer()) this.onClick(this.position(this.map.getCenter()));
    };
  }

  async drawLand() {
    if (this.isPixels) return;
    this.rings = this.rings || fetch(`${site.base}vendor/land.json`).then((answer) => answer.json());
    const rings = await this.rings.catch(() => []);
    this.land?.remove();
    if (this.isPixels) return;
    const copies = [-360, 0, 360].flatMap((turn) => rings.map((ring) => [ring.map(([lon, lat]) => [Math.max(lat, -85.05), lon + turn])]));
    this.land = L.polygon(copies, {
      renderer: L.canvas({ pane: 'tilePane', padding: 0.5 }), interactive: false, weight: 1,
      color: style('--coast'), fillColor: style('--land'), fillOpacity: 1,
    }).addTo(this.map);
  }

  position(latlng) {
    if (!this.isPixels) {
      const { lat, lng } = latlng.wrap();
      return { lon: lng.toFixed(8), lat: lat.toFixed(8), latlng };
    }
    const level = this.level();
    const scale = 2 ** (this.image.levels - 1 - level);
    return { level, row: Math.floor(-latlng.lat * scale), col: Math.floor(latlng.lng * scale), latlng };
  }

  level() {
    return Math.min(Math.max(this.image.levels - 1 - this.map.getZoom(), 0), this.image.levels - 1);
  }

  // Shows one state, or two with a swipe between them; each is a template of URLs.
  show(templates, onDamage) {
    const old = this.layers;
    this.layers = templates.map((template, number) => {
      const options = { pane: number ? 'after' : 'before', maxZoom: 26, className: 'tiles', keepBuffer: 1, updateWhenIdle: false };
      let layer;
      if (this.isPixels) {
        const levels = this.image.levels;
        const [height, width] = this.image.shape.map((side) => side / 2 ** (levels - 1));
        layer = L.tileLayer(template, { ...options, bounds: [[-height, 0], [0, width]], noWrap: true, minNativeZoom: 0, maxNativeZoom: levels - 1 });
        layer.getTileUrl = (at) => L.Util.template(template, { x: at.x, y: at.y, z: levels - 1 - Math.min(Math.max(at.z, 0), levels - 1) });
      } else layer = L.tileLayer(template, { ...options, ...(this.image ? this.image.limits : {}), bounds: this.image?.bounds });
      if (!site.isStatic) layer.on('tileerror', onDamage); // of a site, empty tiles have no file
      return layer.addTo(this.map);
    });
    for (const layer of old) layer.remove();
    $('swipe').hidden = this.line.hidden = templates.length < 2;
    $('sides').hidden = templates.length < 2;
    this.clip();
  }

  clip() {
    const [before, after] = ['before', 'after'].map((name) => this.map.getPane(name));
    if (this.layers.length < 2) {
      before.style.clip = after.style.clip = '';
      return;
    }
    const size = this.map.getSize();
    const start = this.map.containerPointToLayerPoint([0, 0]);
    const end = this.map.containerPointToLayerPoint(size);
    const at = start.x + (size.x * this.slider.value) / 100;
    before.style.clip = `rect(${start.y}px, ${at}px, ${end.y}px, ${start.x}px)`;
    after.style.clip = `rect(${start.y}px, ${end.x}px, ${end.y}px, ${at}px)`;
    this.line.style.left = `${this.slider.value}%`;
  }

  outline(assets, chosen) {
    if (this.isPixels) return;
    this.outlines?.remove();
    const accent = style('--accent');
    const shown = assets.filter((one) => one.bbox).slice(0, 2000);
    this.outlines = L.layerGroup(shown.map((one) => {
      const isChosen = one.id === chosen;
      const box = L.rectangle(boxOf(one.bbox), { pane: 'marks', color: accent, weight: isChosen ? 2 : 1.5, fill: !isChosen, fillOpacity: 0.12, interactive: !chosen });
      return chosen ? box : box.bindTooltip(document.createTextNode(one.id).textContent.replace(/[<>&]/g, '')).on('click', (event) => {
        L.DomEvent.stopPropagation(event);
        this.onOpen(one.id);
      });
    })).addTo(this.map);
    return shown.length;
  }

  // Moves to where some assets are, at their first sight.
  around(assets) {
    const boxes = assets.filter((one) => one.bbox).map((one) => L.latLngBounds(boxOf(one.bbox)));
    if (!this.isPixels && boxes.length) this.map.fitBounds(boxes.reduce((all, box) => all.extend(box), L.latLngBounds(boxes[0])), { maxZoom: 9, padding: [30, 30] });
  }

  fit(bbox) {
    if (this.isPixels) {
      const [height, width] = this.image.shape.map((side) => side / 2 ** (this.image.levels - 1));
      this.map.fitBounds([[-height, 0], [0, width]]);
    } else if (bbox) this.map.fitBounds(boxOf(bbox), { maxZoom: 18, padding: [12, 12] });
  }

  // Draws tiles that differ; of pixels, by their rows and columns.
  differ(found, tile) {
    this.changes?.remove();
    this.changes = null;
    if (!found || !found.features.length) return 0;
    const look = (op) => ({ pane: 'marks', color: COLOURS[op] || COLOURS.changed, weight: 2, fillOpacity: 0.08, interactive: false });
    if (this.isPixels) {
      this.changes = L.layerGroup(found.features.filter((one) => one.properties.row !== undefined).map(({ properties: at }) => {
        const side = (tile * 2 ** at.level) / 2 ** (this.image.levels - 1);
        const [height, width] = this.image.shape.map((all) => all / 2 ** (this.image.levels - 1));
        return L.rectangle([[-at.row * side, at.col * side], [-Math.min((at.row + 1) * side, height), Math.min((at.col + 1) * side, width)]], look(at.op));
      })).addTo(this.map);
    } else this.changes = L.geoJSON(found, { style: (one) => look(one.properties.op), pane: 'marks', interactive: false }).addTo(this.map);
    return found.features.length;
  }

  point(latlng) {
    this.mark?.remove();
    this.mark = latlng && L.circleMarker(latlng, { pane: 'marks', radius: 6, color: style('--accent'), weight: 3, fill: false, interactive: false }).addTo(this.map);
  }

  box() {
    if (this.isPixels) return '';
    const bounds = this.map.getBounds();
    if (bounds.getEast() - bounds.getWest() >= 360) return `-180,${clamp(bounds.getSouth(), 90)},180,${clamp(bounds.getNorth(), 90)}`;
    const west = L.Util.wrapNum(bounds.getWest(), [-180, 180], true);
    const east = L.Util.wrapNum(bounds.getEast(), [-180, 180], true);
    return [west, clamp(bounds.getSouth(), 90), east, clamp(bounds.getNorth(), 90)].map((one) => Number(one).toFixed(4)).join(',');
  }

  damage() {
    say('A tile is damaged or cannot be read; the log of the server says which.', true);
  }
}

const clamp = (value, most) => Math.min(Math.max(value, -most), most);
export function boxOf([left, bottom, right, top]) {
  return [[clamp(bottom, 85.05), left], [clamp(top, 85.05), right < left ? right + 360 : right]];
}

// The lines that open an asset in other programs.
import { site } from './api.js';

export function openLines(one, store, image) {
  const base = site.base.replace(/\/$/, '');
  const quoted = (text) => JSON.stringify(text);
  if (one.kind === 'table') {
    const lines = [{ name: 'Python with geobatch', text: `import geobatch\ntable = geobatch.open_store(${quoted(store.name)}).open_table(${quoted(one.id)})` }];
    if (!site.isStatic) lines.unshift({ name: 'geopandas', text: `import geopandas\ntable = geopandas.read_parquet(${quoted(`${base}/${one.parquet}`)})` });
    return lines;
  }
  const band = one.bands.find((each) => each.id === image.band);
  // Of bands on several grids, each begins at its own level, or in a folder of its grid.
  const grid = one.grids.length > 1 ? `, grid=${quoted(band.grid)}` : '';
  const [array, level, ...folder] = band.zarr.split('/').reverse();
  const lines = [{ name: 'xarray with geobatch', text: `import xarray as xr\nds = xr.open_dataset(${quoted(store.name)}, engine="geobatch", asset=${quoted(one.id)}${grid})`, note: `Masked, scaled and verified.${store.name.includes('://') ? '' : ` The store is a folder of the computer ${site.isStatic ? 'that wrote these pages' : 'that runs this server'}.`}` }];
  if (site.isStatic) {
    lines.push({ name: 'QGIS (XYZ tiles)', text: `${base}/tiles/${one.commit.slice(0, 16)}/${one.id}/{z}/{x}/{y}.png` });
    return lines;
  }
  const zarr = [`${base}/zarr/${one.id}`, ...folder.reverse()].join('/');
  const query = new URLSearchParams(image.style);
  const xyz = `${base}/tiles/${one.id}/{z}/{x}/{y}.png?${query}`;
  return [...lines,
    { name: 'xarray', text: `import xarray as xr\nds = xr.open_zarr(${quoted(`${zarr}/${level}`)})`, note: 'Needs fsspec and aiohttp.' },
    { name: 'GDAL', text: `gdalinfo 'ZARR:"/vsicurl/${zarr}":/${level}/${array}'`, note: 'GDAL 3.13 or newer; 3.12 reads no overviews.' },
    { name: 'QGIS (XYZ tiles)', text: xyz, note: 'Layer, Add Layer, Add XYZ Layer, New.' },
    { name: 'QGIS (WMTS)', text: `${base}/wmts?prefix=${encodeURIComponent(one.id)}`, note: 'Layer, Add Layer, Add WMS/WMTS Layer, New.' },
    { name: 'OpenLayers', text: `new ol.layer.Tile({source: new ol.source.XYZ({url: ${quoted(xyz)}})})` },
    { name: 'STAC', text: `${base}/stac/collections/${one.id.split('/').slice(0, -1).join('.') || '~top'}/items/${one.id.replaceAll('/', '.')}` },
  ];
}

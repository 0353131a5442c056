// Pose decoder: the maps of a network that `bpnet export` wrote, to people. One ES module for browsers and Node, no
// dependencies.
//
//   import { Decoder, nhwc } from "./pose_decoder.mjs";
//   const decoder = new Decoder(sheet);  // skeleton.json, which `bpnet bundle` writes, as JSON.parse gives it
//   const people = decoder.decode(nhwc(heatmaps, rows, columns, decoder.heatmapChannels),
//                                 nhwc(pafs, rows, columns, decoder.pafChannels));
//   people[0].joints[3].x;  // pixels of the network's input; the best person first, joints as in sheet.joints
//
// heatmaps  Float32Array, a channel for each joint, and one more that is ignored (the background) or none
// pafs      Float32Array, two channels for each limb, x and y
// nhwc, nchw  how they lie in memory, of one picture: with the channels last, or first. Other layouts are objects with
//             the same keys: value (row, column, channel) is data[row * rowStep + column * columnStep + channel *
//             channelStep].
// sheet     of skeleton.json it reads joints, limbs, stride, sigma, paf_shift, prior and decoding: heatmap_threshold,
//           paf_threshold, min_parts, min_score, and max_people where there is one
//
// It finds what bodyposenet.common.pose.decode finds, to rounding: joints are local maxima, placed between cells by the
// logarithms of their neighbours; limbs are pairs along which nine of ten samples of the field agree; people are joined
// from limbs, the best first. The Python modules say why (peaks, refine, limbs, group).
// Mistakes of the caller are RangeErrors.
//
// SPDX-License-Identifier: Apache-2.0

// Peaks: where each joint may be, to a fraction of a cell
const FRAME = 2; // cells of minus infinity around a heatmap
const CELLS_A_PEAK = 27; // a joint's strongest peaks are kept, one in so many cells
const LEAST_CAP = 64; // but so many on any grid
const FLOOR = 1e-4; // heatmap values are raised to it before their logarithm is taken
const [NARROW, WIDE] = [0.7, 1.5]; // a peak's variance, over the one it was drawn with
const LEAST = Math.fround(0.2); // of the peak: lower cells are slopes of anything
const [RATIO, MARGIN] = [1.6, 0.2]; // a cell this high above a lone peak's slope hides another peak
const HALFWAY = 1.75; // cells; a peak nearer than that, halfway between two, is high in both
const [SLACK, WIDEST] = [1.2, 3]; // a lone peak may be wider than measured

// Limbs: which peaks the fields join
const NEEDED = 9; // samples of ten that must point along a pair
const INNER = [4, 5, 2, 7, 6, 3, 8, 1].map((place) => Math.fround(place / 9)); // the first tell most wrong pairs

// Groups: limbs joined into people
const LIKELY = 2; // greatest mean deviation, in spreads
const FORESHORTENED = 0.5; // deviations of distances that are too short count so much
const MOST_GROUPS = 192; // the largest may be taken up; more are noise
const LEAST_DISTANCE = 0.1; // cells; closer joints are taken to be so far apart
const STRONG = Math.fround(0.3); // least mean field of a limb to a shared peak
const [WHOLE, PASSES] = [3, 2]; // joints of a person who may share; a shared joint may lead to the next
const SAME = 2; // joints that two groups share who may be one person
const MOST = 1e6; // greatest sum of peak values and limb scores

/** Maps of one picture, channels last. */
export function nhwc(data, rows, columns, channels) {
  return { data, rows, columns, channels, rowStep: columns * channels, columnStep: channels, channelStep: 1 };
}

/** Maps of one picture, channels first. */
export function nchw(data, rows, columns, channels) {
  return { data, rows, columns, channels, rowStep: columns, columnStep: 1, channelStep: rows * columns };
}

/** Finds the people that maps describe. */
export class Decoder {
  /** Takes skeleton.json, parsed. */
  constructor(sheet) {
    this.joints = sheet.joints.length;
    this.limbs = sheet.limbs.map((ends) => ends.map((name) => sheet.joints.indexOf(name)));
    if (!this.joints) throw new RangeError("skeleton.json: no joints");
    if (this.limbs.some((ends) => ends.length !== 2 || ends.includes(-1)))
      throw new RangeError("skeleton.json: a limb ends at no joint");
    ({ stride: this.stride, sigma: this.sigma } = sheet);
    if (!(this.stride > 0 && this.sigma > 0)) throw new RangeError("skeleton.json: stride or sigma is not above 0");
    this.shift = Math.fround(sheet.paf_shift / this.stride);
    const { heatmap_threshold, paf_threshold, min_parts, min_score, max_people } = sheet.decoding;
    const thresholds = [heatmap_threshold, paf_threshold, min_parts, min_score];
    if (!thresholds.every(Number.isFinite) || !Number.isFinite(sheet.paf_shift))
      throw new RangeError("skeleton.json: a threshold or paf_shift is missing");
    this.heatmapThreshold = Math.fround(heatmap_threshold);
    this.pafThreshold = Math.fround(paf_threshold);
    this.minParts = min_parts;
    this.minScore = Math.fround(min_score);
    this.maxPeople = max_people ?? Infinity;
    this.prior = sheet.prior ? readPrior(sheet.prior, this.joints) : null;
  }

  /** How many channels heatmaps have, the background's with them. */
  get heatmapChannels() {
    return this.joints + 1;
  }

  /** How many channels part affinity fields have. */
  get pafChannels() {
    return 2 * this.limbs.length;
  }

  /** Returns the people of one picture, best first: `{score, joints: [{x, y, score}, ...]}`; score 0: no such joint. */
  decode(heatmaps, pafs) {
    this.#check(heatmaps, pafs);
    const peaks = findPeaks(heatmaps, this.joints, this.heatmapThreshold, (this.sigma / this.stride) ** 2);
    const { pairs, tables } = findLimbs(pafs, peaks, this.limbs, this.pafThreshold, this.shift);
    let groups = groupLimbs(pairs, peaks, this.joints);
    if (this.prior) groups = adopt(groups, peaks, this.prior);
    share(groups, peaks.bounds, this.limbs, tables);
    if (this.prior) lend(groups, peaks, this.prior);
    countOnce(groups);
    return this.#tell(groups, peaks);
  }

  #check(heatmaps, pafs) {
    const channels = [this.joints, this.joints + 1].includes(heatmaps.channels) && pafs.channels === this.pafChannels;
    const size = heatmaps.rows > 0 && heatmaps.columns > 0 && heatmaps.rows === pafs.rows;
    if (!channels || !size || heatmaps.columns !== pafs.columns)
      throw new RangeError(`the maps are not those of ${this.joints} joints and ${this.limbs.length} limbs`);
    for (const maps of [heatmaps, pafs])
      if (maps.data.length < maps.rows * maps.columns * maps.channels) throw new RangeError("a map has too few values");
  }

  #tell(groups, peaks) {
    const large = groups.filter((group) => count(group) >= this.minParts);
    large.sort((one, other) => other.total - one.total);
    return large
      .slice(0, this.maxPeople)
      .map((group) => ({
        score: Math.fround(Math.min(group.total, MOST) / (1 + Math.min(group.total, MOST))),
        joints: Array.from(group.members, (peak) => this.#place(peak, peaks)),
      }))
      .filter((person) => person.score >= this.minScore);
  }

  #place(peak, { xs, ys, values }) {
    if (peak < 0) return { x: 0, y: 0, score: 0 };
    const half = (this.stride - 1) / 2;
    return { x: xs[peak] * this.stride + half, y: ys[peak] * this.stride + half, score: Math.min(values[peak], 1) };
  }
}

// Whole tables of means and of weights, one over the square of the spreads; the rows below the diagonal are told.
function readPrior({ means, spreads }, joints) {
  const prior = { means: new Float64Array(joints * joints), weights: new Float64Array(joints * joints).fill(1) };
  if (means.length !== joints || spreads.length !== joints)
    throw new RangeError("skeleton.json: the prior is of another number of joints");
  for (let k = 0; k < joints; k++) {
    for (let m = 0; m < k; m++) {
      const [one, other] = [k * joints + m, m * joints + k];
      prior.means[one] = prior.means[other] = means[k][m];
      prior.weights[one] = prior.weights[other] = 1 / spreads[k][m] ** 2;
    }
  }
  return prior;
}

// --- peaks

// Finds the local maxima of every joint's heatmap, and peaks that hide beside them: x, y in cells, values, and where
// each joint's begin and end. Of a joint the strongest come first.
function findPeaks(maps, joints, threshold, variance) {
  const most = Math.max(LEAST_CAP, Math.floor((maps.rows * maps.columns) / CELLS_A_PEAK));
  const xs = [], ys = [], values = [], bounds = [0];
  const plane = makePlane(maps);
  for (let joint = 0; joint < joints; joint++) {
    fillPlane(plane, maps, joint);
    const maxima = listMaxima(plane, threshold);
    const found = maxima.map(({ row, column }) => refine(plane, row, column, variance, 0, 0));
    if (found.length < most) addHidden(plane, threshold, variance, maxima, found);
    found.sort((one, other) => other.value - one.value);
    for (const { x, y, value } of found.slice(0, most)) {
      xs.push(x - FRAME);
      ys.push(y - FRAME);
      values.push(value);
    }
    bounds.push(xs.length);
  }
  return { xs: Float32Array.from(xs), ys: Float32Array.from(ys), values: Float32Array.from(values), bounds };
}

function makePlane({ rows, columns }) {
  const width = columns + 2 * FRAME;
  return { rows, columns, width, data: new Float32Array((rows + 2 * FRAME) * width).fill(-Infinity) };
}

function fillPlane({ data, width }, maps, joint) {
  for (let row = 0; row < maps.rows; row++) {
    let from = joint * maps.channelStep + row * maps.rowStep;
    let to = (row + FRAME) * width + FRAME;
    for (let column = 0; column < maps.columns; column++, from += maps.columnStep) data[to++] = maps.data[from];
  }
}

// Cells above the threshold with no higher neighbour, and of equal ones the first.
function listMaxima({ data, rows, columns, width }, threshold) {
  const found = [];
  for (let row = FRAME; row < rows + FRAME; row++) {
    for (let column = FRAME, place = row * width + FRAME; column < columns + FRAME; column++, place++) {
      const value = data[place];
      if (value > threshold && value < Infinity && isMaximum(data, place, width)) found.push({ row, column });
    }
  }
  return found;
}

function isMaximum(data, place, width) {
  const value = data[place], above = place - width, below = place + width;
  return !(
    data[above - 1] >= value || data[above] >= value || data[above + 1] >= value || data[place - 1] >= value ||
    data[place + 1] > value || data[below - 1] > value || data[below] > value || data[below + 1] > value
  );
}

// The logarithms of a cell, and of those left, right, above and below; beyond the border they mean nothing.
function logarithms({ data, width }, row, column) {
  const place = row * width + column;
  return [place, place - 1, place + 1, place - width, place + width].map((cell) => logarithm(data[cell]));
}

function logarithm(value) {
  return FLOOR < value && value < Infinity ? Math.fround(Math.log(value)) : Math.log(FLOOR);
}

// The variance of a Gaussian by the logarithms of three values.
function measure(before, centre, after, widest) {
  const curvature = 2 * centre - before - after;
  return curvature > 0 ? Math.min(1 / curvature, widest) : widest;
}

// A peak's x, y and value; neighbours on blind sides (-1 left or above, 1 right or below) do not count.
function refine(plane, row, column, variance, blindX, blindY) {
  const [centre, left, right, above, below] = logarithms(plane, row, column);
  const hasLeft = column > FRAME && blindX >= 0, hasRight = column < plane.columns + FRAME - 1 && blindX <= 0;
  const hasAbove = row > FRAME && blindY >= 0, hasBelow = row < plane.rows + FRAME - 1 && blindY <= 0;
  const across = hasLeft && hasRight ? clipVariance(left, centre, right, variance) : -1;
  const down = hasAbove && hasBelow ? clipVariance(above, centre, below, variance) : -1;
  const spare = Math.max(across, down) > 0 ? Math.max(across, down) : variance;
  const x = column + offset(left, centre, right, hasLeft, hasRight, across > 0 ? across : spare);
  const y = row + offset(above, centre, below, hasAbove, hasBelow, down > 0 ? down : spare);
  return { x: Math.fround(x), y: Math.fround(y), value: plane.data[row * plane.width + column] };
}

function clipVariance(before, centre, after, variance) {
  return Math.max(measure(before, centre, after, WIDE * variance), NARROW * variance);
}

// How many cells there are from a peak's cell to the peak, along one axis.
function offset(before, centre, after, hasBefore, hasAfter, variance) {
  if (hasBefore && hasAfter) return clip(0.5 * variance * (after - before), 0.5);
  if (hasBefore) return clip(variance * (centre - before) - 0.5, 1);
  if (hasAfter) return clip(0.5 - variance * (centre - after), 1);
  return 0;
}

function clip(value, most) {
  return Math.min(Math.max(value, -most), most);
}

// Appends the peaks on the slopes of others to what was found, and places those beside them anew.
function addHidden(plane, threshold, variance, maxima, found) {
  for (let peak = 0; peak < maxima.length; peak++) {
    const own = maxima[peak];
    const other = findSlope(plane, own, found[peak], threshold, variance);
    if (!other || isNear(maxima, found, other, peak)) continue;
    const down = side(other.row - own.row), right = side(other.column - own.column);
    found.push(refine(plane, other.row, other.column, variance, -right, -down));
    found[peak] = refine(plane, own.row, own.column, variance, right, down);
  }
}

// On which side a cell two away lies: its neighbour there is between the two peaks.
function side(step) {
  return Math.abs(step) === 2 ? step / 2 : 0;
}

// The highest of the cells two away from a peak's that are too high for it, or null.
function findSlope(plane, { row, column }, { x, y, value }, threshold, variance) {
  let best = Math.max(threshold, Math.fround(LEAST * value)), where = null, wide = 0;
  for (let i = row - 2; i <= row + 2; i++) {
    for (let j = column - 2; j <= column + 2; j += Math.abs(i - row) === 2 ? 1 : 4) {
      const other = plane.data[i * plane.width + j];
      if (!(best < other && other <= value)) continue;
      wide ||= loneWidth(plane, row, column, variance);
      const away = (j - x) ** 2 + (i - y) ** 2 - (column - x) ** 2 - (row - y) ** 2;
      const alone = value * Math.exp(-away / (2 * wide));
      if (other > MARGIN * value + RATIO * alone) [best, where] = [other, { row: i, column: j }];
    }
  }
  return where;
}

// The variance that a lone peak may have: the lesser of both axes', as the other may be two peaks'.
function loneWidth(plane, row, column, variance) {
  const [centre, left, right, above, below] = logarithms(plane, row, column);
  const across = measure(left, centre, right, WIDEST * variance);
  return SLACK * Math.max(Math.min(across, measure(above, centre, below, WIDEST * variance)), variance);
}

// Whether another local maximum is at or beside a cell, or halfway between its own cell and one beside it.
function isNear(maxima, found, { row, column }, own) {
  return maxima.some(
    (cell, peak) =>
      peak !== own &&
      ((Math.abs(cell.row - row) <= 1 && Math.abs(cell.column - column) <= 1) ||
        (Math.abs(found[peak].y - row) <= HALFWAY && Math.abs(found[peak].x - column) <= HALFWAY)),
  );
}

// --- limbs

// Matches the peaks at the two ends of every limb, best pair first, each peak once a limb; the tables keep how well the
// field agrees with each pair.
function findLimbs(pafs, peaks, limbs, threshold, shift) {
  const pairs = [], tables = [];
  for (let limb = 0; limb < limbs.length; limb++) {
    const [start, end] = limbs[limb];
    const rows = peaks.bounds[start + 1] - peaks.bounds[start], columns = peaks.bounds[end + 1] - peaks.bounds[end];
    const table = new Float32Array(rows * columns);
    tables.push(table);
    if (!table.length) continue;
    const field = readField(pafs, limb);
    const starts = readEnds(field, peaks, start, shift), ends = readEnds(field, peaks, end, shift);
    pick(agree(field, starts, ends, threshold, table), table, peaks.bounds[start], peaks.bounds[end], columns, pairs);
  }
  return { pairs, tables };
}

// One limb's field with x and y side by side, and a row and a column of 0 more, so that all cells have neighbours.
function readField(pafs, limb) {
  const width = pafs.columns + 1, data = new Float32Array(2 * (pafs.rows + 1) * width);
  for (let row = 0; row < pafs.rows; row++) {
    let from = 2 * limb * pafs.channelStep + row * pafs.rowStep;
    for (let column = 0, to = 2 * row * width; column < pafs.columns; column++, from += pafs.columnStep) {
      data[to++] = pafs.data[from];
      data[to++] = pafs.data[from + pafs.channelStep];
    }
  }
  return { data, width, rows: pafs.rows, columns: pafs.columns };
}

// x, y of a joint's peaks, moved inside the grid, and of the field there.
function readEnds(field, { xs, ys, bounds }, joint, shift) {
  const count = bounds[joint + 1] - bounds[joint];
  const [x, y, u, v] = Array.from({ length: 4 }, () => new Float32Array(count));
  for (let point = 0; point < count; point++) {
    x[point] = Math.min(Math.max(Math.fround(xs[bounds[joint] + point] + shift), 0), field.columns - 1);
    y[point] = Math.min(Math.max(Math.fround(ys[bounds[joint] + point] + shift), 0), field.rows - 1);
    u[point] = sample(field, x[point], y[point], 0);
    v[point] = sample(field, x[point], y[point], 1);
  }
  return { x, y, u, v };
}

// One component of the field at x, y inside the grid, bilinear between cell centres; rounded to 32 bits where Python is,
// so that pairs which are equally good there are here, too.
function sample({ data, width }, x, y, axis) {
  const column = Math.trunc(x), row = Math.trunc(y), fx = x - column, fy = y - row;
  const a = 2 * (row * width + column) + axis, c = a + 2 * width;
  const left = between(data[a], data[c], fy), right = between(data[a + 2], data[c + 2], fy);
  return between(left, right, fx);
}

function between(one, other, share) {
  return Math.fround(one + share * Math.fround(other - one));
}

// How far a vector goes along dx, dy, times their length.
function project(u, v, dx, dy) {
  return Math.fround(u * dx + Math.fround(v * dy));
}

// Fills the table with the mean of the ten samples that are above the threshold, where enough are; returns the places
// in it of those pairs.
function agree(field, starts, ends, threshold, table) {
  const columns = ends.x.length, likely = [];
  for (let place = 0; place < table.length; place++) {
    const i = Math.trunc(place / columns), j = place % columns;
    const dx = Math.fround(ends.x[j] - starts.x[i]), dy = Math.fround(ends.y[j] - starts.y[i]);
    const length = Math.fround(Math.sqrt(project(dx, dy, dx, dy))), least = Math.fround(threshold * length);
    let total = 0, good = 0;
    const add = (u, v) => {
      const value = project(u, v, dx, dy);
      if (value > least && value < Infinity) (total = Math.fround(total + value)), good++;
    };
    add(starts.u[i], starts.v[i]);
    add(ends.u[j], ends.v[j]);
    for (let taken = 0; taken < INNER.length && good >= NEEDED - INNER.length + taken && good > 0; taken++) {
      const x = Math.fround(starts.x[i] + INNER[taken] * dx), y = Math.fround(starts.y[i] + INNER[taken] * dy);
      add(sample(field, x, y, 0), sample(field, x, y, 1));
    }
    if (good < NEEDED) continue;
    table[place] = total / Math.fround(good * length);
    likely.push(place);
  }
  return likely;
}

// Appends one limb's pairs, best first, each row and column once; of equals the first.
function pick(likely, table, start, end, columns, pairs) {
  const taken = [new Set(), new Set()];
  likely.sort((one, other) => table[other] - table[one]);
  for (const place of likely) {
    const row = Math.trunc(place / columns), column = place % columns;
    if (taken[0].has(row) || taken[1].has(column)) continue;
    taken[0].add(row);
    taken[1].add(column);
    pairs.push({ start: start + row, end: end + column, score: table[place] });
  }
}

// --- groups

// Joins all limbs, best first, into groups that own a peak of each joint at most; single peaks are groups, too.
function groupLimbs(pairs, { values, bounds }, joints) {
  const groups = Array.from(values, (total) => ({ members: new Int32Array(joints).fill(-1), total }));
  for (let joint = 0; joint < joints; joint++)
    for (let peak = bounds[joint]; peak < bounds[joint + 1]; peak++) groups[peak].members[joint] = peak;
  const owner = [...groups];
  for (const { start, end, score } of [...pairs].sort((one, other) => other.score - one.score)) {
    const [a, b] = [owner[start], owner[end]];
    if (a === b) {
      a.total += score;
    } else if (disjoint(a, b)) {
      b.members.forEach((peak, joint) => {
        if (peak >= 0) (a.members[joint] = peak), (owner[peak] = a);
      });
      a.total += b.total + score;
    }
  }
  return groups.filter((group, peak) => owner[peak] === group);
}

function disjoint(one, other) {
  return one.members.every((peak, joint) => peak < 0 || other.members[joint] < 0);
}

function count(group) {
  return group.members.reduce((sum, peak) => sum + (peak >= 0 ? 1 : 0), 0);
}

// Joins groups that own different joints and together make a likely body, the larger first.
function adopt(groups, peaks, prior) {
  const keys = new Map(groups.map((group) => [group, count(group) + group.total / (1 + group.total)]));
  const kept = [];
  [...groups]
    .sort((one, other) => keys.get(other) - keys.get(one))
    .forEach((group, place) => {
      const body = { members: group.members, total: group.total, count: count(group), sums: null, ties: null };
      const host = place < MOST_GROUPS && body.count < body.members.length ? findHost(body, kept, peaks, prior) : null;
      if (!host) {
        kept.push(body);
        return;
      }
      addPairs(host, body, peaks, prior);
      for (const entry of [0, 1]) host.sums[entry] += body.sums[entry];
      body.ties.forEach((weight, joint) => (host.ties[joint] += weight));
      body.members.forEach((peak, joint) => (host.members[joint] = Math.max(host.members[joint], peak)));
      host.count += body.count;
      host.total += body.total;
    });
  return kept;
}

// The logarithm of a body's size, as two of its joints have it.
function scale({ xs, ys }, one, other, mean) {
  const dx = xs[one] - xs[other], dy = ys[one] - ys[other];
  return 0.5 * Math.log(Math.max(dx * dx + dy * dy, LEAST_DISTANCE ** 2)) - mean;
}

// Fills a body's sums (weights, and weighted scales, of the pairs inside it) and ties (weights of each joint's pairs
// with it).
function weigh(body, peaks, { means, weights }) {
  const joints = body.members.length;
  body.sums = [0, 0];
  body.ties = new Float64Array(joints);
  for (let a = 0; a < joints; a++) {
    if (body.members[a] < 0) continue;
    for (let b = 0; b < joints; b++) body.ties[b] += weights[a * joints + b];
    for (let b = 0; b < a; b++) {
      if (body.members[b] < 0) continue;
      body.sums[0] += weights[a * joints + b];
      body.sums[1] += weights[a * joints + b] * scale(peaks, body.members[a], body.members[b], means[a * joints + b]);
    }
  }
}

// Adds the pairs of a joint of the one and a joint of the other to the one's sums.
function addPairs(one, other, peaks, { means, weights }) {
  const joints = one.members.length;
  for (let a = 0; a < joints; a++) {
    if (one.members[a] < 0) continue;
    for (let b = 0; b < joints; b++) {
      if (a === b || other.members[b] < 0) continue;
      one.sums[0] += weights[a * joints + b];
      one.sums[1] += weights[a * joints + b] * scale(peaks, one.members[a], other.members[b], means[a * joints + b]);
    }
  }
}

// The likeliest body for a group, or null.
function findHost(group, kept, peaks, prior) {
  let best = null, least = LIKELY * LIKELY;
  for (const other of kept) {
    if (other.count <= 1 || !disjoint(group, other)) continue;
    for (const one of [group, other]) if (!one.sums) weigh(one, peaks, prior);
    const size = (group.sums[1] + other.sums[1]) / (group.sums[0] + other.sums[0]);
    const weight = group.members.reduce((sum, peak, joint) => sum + (peak >= 0 ? other.ties[joint] : 0), 0);
    const cost = deviate(group, other, peaks, prior, size, least * weight) / weight;
    if (cost < least) [best, least] = [other, cost];
  }
  return best;
}

// Sum of square deviations, weighted, of the pairs between two groups; infinite as soon as it is not below most.
function deviate(one, other, peaks, { means, weights }, size, most) {
  const joints = one.members.length;
  let cost = 0;
  for (let a = 0; a < joints; a++) {
    if (one.members[a] < 0) continue;
    for (let b = 0; b < joints; b++) {
      if (other.members[b] < 0) continue;
      const off = scale(peaks, one.members[a], other.members[b], means[a * joints + b]) - size;
      cost += (weights[a * joints + b] * (off > 0 ? off : FORESHORTENED * off)) ** 2;
      if (cost >= most) return Infinity;
    }
  }
  return cost;
}

// Fills empty joints beside filled ones with the peaks that the strongest limbs lead to.
function share(groups, bounds, limbs, tables) {
  for (const group of groups) {
    if (count(group) < WHOLE) continue;
    for (let pass = 0; pass < PASSES; pass++)
      limbs.forEach((ends, limb) => (group.total += lead(group.members, ends, bounds, tables[limb])));
  }
}

// Fills the one empty end of a limb with the peak that it leads to, if that is one; returns what it adds.
function lead(members, [start, end], bounds, table) {
  if (members[start] >= 0 === members[end] >= 0 || !table.length) return 0;
  const columns = bounds[end + 1] - bounds[end], forward = members[start] >= 0, empty = forward ? end : start;
  const first = forward ? (members[start] - bounds[start]) * columns : members[end] - bounds[end];
  const step = forward ? 1 : columns, places = bounds[empty + 1] - bounds[empty];
  let peak = 0;
  for (let place = 1; place < places; place++)
    if (table[first + place * step] > table[first + peak * step]) peak = place;
  const score = table[first + peak * step];
  if (!(score > STRONG)) return 0;
  members[empty] = bounds[empty] + peak;
  return score;
}

// Lets a group have the joints that it lacks of a lesser one that shares some of its own, if likely with the rest.
function lend(groups, peaks, prior) {
  const holders = new Map();
  for (const group of [...groups].sort((one, other) => other.total - one.total)) {
    let host = null, shared = 0;
    for (const peak of group.members) {
      if (peak < 0) continue;
      if (!holders.has(peak)) holders.set(peak, group);
      else if (!host || host === holders.get(peak)) [host, shared] = [holders.get(peak), shared + 1];
    }
    if (shared >= SAME) complete(host, group, peaks, prior);
  }
}

// Fills what a group lacks with what another one has, if both make a likely body.
function complete(host, other, peaks, prior) {
  const lent = { members: other.members.map((peak, joint) => (host.members[joint] < 0 ? peak : -1)) };
  weigh(host, peaks, prior);
  const weight = lent.members.reduce((sum, peak, joint) => sum + (peak >= 0 ? host.ties[joint] : 0), 0);
  const most = LIKELY ** 2 * weight;
  if (!(deviate(lent, host, peaks, prior, host.sums[1] / host.sums[0], most) < most)) return;
  lent.members.forEach((peak, joint) => (host.members[joint] = Math.max(host.members[joint], peak)));
}

// Lets each peak count for the best of the groups that share it only. Of a share f of joints that are a group's own,
// about f * f of its limbs have both ends of its own, and so much of its total is left.
function countOnce(groups) {
  const taken = new Set();
  for (const group of [...groups].sort((one, other) => other.total - one.total)) {
    const peaks = group.members.filter((peak) => peak >= 0);
    group.total *= (peaks.filter((peak) => !taken.has(peak)).length / peaks.length) ** 2;
    for (const peak of peaks) taken.add(peak);
  }
}

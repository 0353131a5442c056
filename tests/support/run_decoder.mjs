// Decodes scenes with the JavaScript decoder: run_decoder.mjs DECODER SCENES MAPS. SCENES lists, as JSON, each scene's
// sheet, size, channels and layout; MAPS has their float32 values one after another. Prints the people of each scene, or
// a message.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [decoder, scenes, maps] = process.argv.slice(2);
const { Decoder, nhwc, nchw } = await import(pathToFileURL(decoder));
const bytes = readFileSync(maps);
const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
let begin = 0;

function take(rows, columns, channels, channelsFirst) {
  const data = values.subarray(begin, (begin += rows * columns * channels));
  return (channelsFirst ? nchw : nhwc)(data, rows, columns, channels);
}

const found = JSON.parse(readFileSync(scenes)).map(({ sheet, rows, columns, heatmaps, pafs, channelsFirst }) => {
  const pair = [heatmaps, pafs].map((channels) => take(rows, columns, channels, channelsFirst));
  try {
    return new Decoder(sheet).decode(...pair);
  } catch (error) {
    return String(error);
  }
});
process.stdout.write(JSON.stringify(found));

// Answers expressions with jsonata-js, for the differential test of the core (docs/CONFORMANCE.md).
// In: lines `input number TAB expression`, after one line with all inputs as a JSON array. Out: the answer of each, in a line.
// JSONATA_JS names the folder of the package.
const jsonata = require(process.env.JSONATA_JS || 'jsonata');
const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter((line) => line);
const inputs = lines.shift();

function plain(key, value) {
  if (typeof value === 'function' || (value && (value._jsonata_lambda || value._jsonata_function))) return '';
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}

async function answer(line) {
  const tab = line.indexOf('\t');
  const input = JSON.parse(inputs)[Number(line.slice(0, tab))];
  try {
    const value = await jsonata(JSON.parse(line.slice(tab + 1))).evaluate(input);
    if (value === undefined || plain('', value) === '' && value !== '') return 'undefined';
    if (typeof value === 'number' && !Number.isFinite(value)) return 'null';
    return JSON.stringify(value, plain);
  } catch (error) {
    return '! ' + (error.code || 'JavaScript: ' + error.message.split('\n')[0]);
  }
}

(async () => {
  for (const line of lines) {
    const text = await answer(line);
    process.stdout.write(text.replace(/\n/g, ' ') + '\n');
  }
})();

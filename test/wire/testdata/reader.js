// Reads what JSON.parse makes of a message: one base64 line in, one line of JSON out.
'use strict';

const bits = new DataView(new ArrayBuffer(8));

// describe tells type and value. A number is told by its bits, since its text is lost.
function describe(v) {
  switch (typeof v) {
    case 'undefined':
      return {kind: 'absent'};
    case 'string':
      return {kind: 'string', text: v, whole: v.isWellFormed()};
    case 'number':
      bits.setFloat64(0, v);
      return {kind: 'number', text: bits.getBigUint64(0).toString(16)};
    case 'boolean':
      return {kind: 'boolean', text: String(v)};
  }
  return {kind: v === null ? 'null' : Array.isArray(v) ? 'array' : 'object'};
}

function read(body) {
  let m;
  try {
    m = JSON.parse(body);
  } catch {
    return {};
  }
  return {
    accepted: true,
    method: describe(m?.method),
    id: describe(m?.id),
    name: describe(m?.params?.name),
    uri: describe(m?.params?.uri),
  };
}

let rest = '';
process.stdin.setEncoding('latin1');
process.stdin.on('data', (chunk) => {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop();
  for (const line of lines) {
    process.stdout.write(JSON.stringify(read(Buffer.from(line, 'base64').toString('utf8'))) + '\n');
  }
});

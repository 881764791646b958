// Prints the schemas of the protocol that the official conformance suite carries, by
// revision. The suite is one bundled script in which each schema is an object literal;
// which one is which shows in the messages that only that revision defines.
'use strict';

const fs = require('node:fs');
const vm = require('node:vm');

// Newest first: a revision is told by the first of its messages that the older lack.
const marks = [
  ['2026-07-28', 'DiscoverRequest'],
  ['2025-11-25', 'GetTaskRequest'],
  ['2025-06-18', 'ElicitRequest'],
  ['2025-03-26', 'JSONRPCBatchRequest'],
];

// literalAt returns the object literal that starts at a place in the script.
function literalAt(script, start) {
  let depth = 0;
  for (let i = start; i < script.length; i++) {
    switch (script[i]) {
      case '"':
      case "'":
      case '`':
        for (const quote = script[i++]; script[i] !== quote; i++) {
          if (script[i] === '\\') i++;
        }
        break;
      case '{':
      case '[':
        depth++;
        break;
      case '}':
      case ']':
        if (--depth === 0) return script.slice(start, i + 1);
    }
  }
  throw new Error('an object literal does not end');
}

const script = fs.readFileSync(process.argv[2], 'utf8');
const found = {};
for (const {index} of script.matchAll(/\{\$schema:[`"'][^`"']*[`"'],(?:\$defs|definitions):\{/g)) {
  const schema = vm.runInNewContext('(' + literalAt(script, index) + ')', {}, {timeout: 10_000});
  const definitions = schema.$defs ?? schema.definitions;
  const mark = marks.find(([, message]) => message in definitions);
  if (mark && 'ClientRequest' in definitions) found[mark[0]] = schema;
}
process.stdout.write(JSON.stringify(found));

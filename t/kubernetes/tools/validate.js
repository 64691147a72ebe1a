// SPDX-License-Identifier: Apache-2.0
//
// validate.js FOLDER: an array of Kubernetes objects on standard input, as JSON,
// is held to the schemas of FOLDER/node_modules: a line for each mistake, and
// for each key that its schema does not know. Status 1 where there is any.
'use strict';
const fs = require('fs');
const path = require('path');

const folder = path.resolve(process.argv[2]);
const schemas = path.join(folder, 'node_modules/kubernetes-models/_schemas');

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}

// apps/v1 Deployment: IoK8sApiAppsV1Deployment
function schemaOf(object) {
  const [version, group] = String(object.apiVersion).split('/').reverse();
  const name = 'IoK8sApi' + capital((group || 'core').split('.')[0]) +
      capital(version) + object.kind + '.js';
  return require(path.join(schemas, name)).validate;
}

// An object that notes which of its keys are read: a schema reads all that it
// knows.
function watched(value, place, all) {
  if (typeof value !== 'object' || value === null) return value;
  const read = new Set();
  const inner = new Map();
  all.push({value, place, read});
  return new Proxy(value, {
    get(target, key) {
      if (!Object.prototype.hasOwnProperty.call(target, key)) return target[key];
      read.add(key);
      if (Array.isArray(target) && key === 'length') return target.length;
      if (!inner.has(key)) {
        inner.set(key, watched(target[key], `${place}/${key}`, all));
      }
      return inner.get(key);
    },
  });
}

function mistakes(object) {
  const all = [];
  let validate;
  try {
    validate = schemaOf(object);
  } catch (error) {
    return [`no schema of ${object.apiVersion} ${object.kind}`];
  }
  if (!validate(watched(object, '', all))) {
    return validate.errors.map(e => `${e.instancePath}: ${e.keyword} ` +
        JSON.stringify(e.params));
  }
  return all.flatMap(({value, place, read}) => Object.keys(value)
      .filter(key => !read.has(key))
      .map(key => `${place}/${key}: unknown`));
}

let failed = false;
for (const object of JSON.parse(fs.readFileSync(0))) {
  for (const mistake of mistakes(object)) {
    failed = true;
    console.log(`${object.kind} ${(object.metadata || {}).name}: ${mistake}`);
  }
}
process.exit(failed ? 1 : 0);

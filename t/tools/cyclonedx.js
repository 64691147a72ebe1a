// SPDX-License-Identifier: Apache-2.0
//
// cyclonedx.js FOLDER FILE...: is each FILE a CycloneDX 1.5 document, with no
// more in it than the specification has? By the schema of the specification, in
// the library in FOLDER/node_modules. Says what is wrong, and ends with 1.
const { readFileSync } = require("fs");
const [folder, ...files] = process.argv.slice(2);
const { Spec, Validation } = require(`${folder}/node_modules/@cyclonedx/cyclonedx-library`);
const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot5);

(async () => {
  for (const file of files)
    for (const { instancePath, message } of (await validator.validate(readFileSync(file, "utf8"))) ?? []) {
      console.log(`${file}: ${instancePath}: ${message}`);
      process.exitCode = 1;
    }
})();

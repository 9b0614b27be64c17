// First step of `npm test`: one sentence instead of a page of syntax errors under an old Node. Plain old JavaScript on purpose.
if (Number(process.versions.node.split(".")[0]) < 24) {
  console.error(
    "guerdon: this is Node " + process.versions.node + ", and Guerdon needs Node 24 or newer: run ./guerdon test, which brings its own.",
  );
  process.exit(2);
}

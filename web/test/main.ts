import { runTests } from './support/harness';
import { startTarget } from './support/target';
import { declareAskTests } from './ask';
import { declareDetailTests } from './detail';
import { declareFaultTests } from './faults';
import { declareFilmTests } from './films';
import { declareLibraryTests } from './library';
import { declarePageTests } from './page';
import { declareScreenshot } from './screenshot';
import { declareSearchTests } from './search';

// `npm test [-- PART OF A NAME]`: the page in a real browser, against a real server if there is one
// (see startTarget). What a real server can't be made to do on demand is shown with the development
// server in every case.
const target = await startTarget();
let passed = false;
try {
  console.log(`testing ${target.real ? 'msearch' : 'the development server'} at ${target.url}`);
  declareSearchTests(target);
  declareDetailTests(target);
  declareAskTests(target);
  declareLibraryTests(target);
  declarePageTests(target);
  declareFilmTests(target);
  declareFaultTests();
  declareScreenshot(target);
  passed = await runTests(process.argv[2] ?? '');
} finally {
  await target.stop();
}
process.exit(passed ? 0 : 1);

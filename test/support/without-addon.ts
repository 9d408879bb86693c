/**
 * Import this first in a test file: no native addon loads in its process after it, so ssh2 runs as it does for everybody who
 * installed without a compiler or with install scripts off.
 */
process.dlopen = () => {
  throw new Error('This test runs without native addons');
};

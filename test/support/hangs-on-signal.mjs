// Loaded before the supervisor's program (NODE_OPTIONS): on SIGUSR2 its event loop hangs for ever, which its name tells.
if (process.argv.slice(1).some((word) => word.includes('daemon'))) {
  process.on('SIGUSR2', () => {
    process.title = 'hangs';
    for (;;);
  });
}

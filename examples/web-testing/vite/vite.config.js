// SPDX-License-Identifier: Apache-2.0
export default {
  // In uri mode the page lives below this path, in host mode it may.
  base: '/sandboxes/vite/port/5173/',
  cacheDir: '/tmp/vite',
  server: {
    host: true,
    port: 5173,
    strictPort: true,
    // Names below .localhost need no leave; of another domain:
    // allowedHosts: ['.sandbox.example.com', 'gateway.example.com'],
  },
};

/**
 * Turns on Node's compile cache for the CommonJS packages that are loaded after this module. NODE_COMPILE_CACHE, which the demo, the
 * tests and the image set, does so for every module, and saves Node from loading its TypeScript stripper.
 */
import { enableCompileCache } from 'node:module'

enableCompileCache()

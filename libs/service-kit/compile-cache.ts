/**
 * Import this first in a main.ts: Node then keeps the compiled form of every module in a folder and starts the next process a third
 * faster. NODE_COMPILE_CACHE names the folder, for an image that ships one already filled.
 */
import { enableCompileCache } from 'node:module'

enableCompileCache()

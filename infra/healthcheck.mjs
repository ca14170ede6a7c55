// A container is healthy when its service can do its main job. The reason is in the container's health log.
const url = `http://127.0.0.1:${process.env.PORT ?? 3000}/health/ready`
const response = await fetch(url, { signal: AbortSignal.timeout(2_500) })
console.log(response.status, await response.text())
process.exitCode = response.ok ? 0 : 1

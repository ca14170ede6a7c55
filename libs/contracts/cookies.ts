/** The cookies of the shop, by the names they have over http; over https each has the __Host- prefix. */

/** Holds the id of a session. The user service writes it, the gateway reads it. */
export const sessionCookieName = 'shop_session'

/** Holds the id of a guest's cart. The order service writes and reads it. */
export const cartCookieName = 'shop_cart'

export type CookieName = typeof sessionCookieName | typeof cartCookieName

import { type CategoryWords, clothing, colours, fabrics, flasks, metals, woods } from './vocabulary.ts'

export const leisureCategories: readonly CategoryWords[] = [
  {
    slug: 'shirts',
    name: 'Shirts',
    code: 'SHI',
    ranges: [
      {
        things: [
          ['Shirt', 59, 'the office and the evening after it'],
          ['T-Shirt', 25, 'every day that has no other plans'],
          ['Polo Shirt', 39, 'warm days that still need a collar'],
          ['Overshirt', 79, 'the weeks between coat and shirt'],
          ['Blouse', 65, 'meetings and music'],
        ],
        materials: [...fabrics, ['Oxford', 1.1], ['Jersey', 0.9]],
        variants: clothing,
      },
    ],
    remarks: ['Cut true to size.', 'Spare buttons are sewn in.', 'Wash at thirty degrees.'],
  },
  {
    slug: 'knitwear',
    name: 'Knitwear',
    code: 'KNI',
    ranges: [
      {
        things: [
          ['Jumper', 89, 'frost on the windscreen'],
          ['Cardigan', 95, 'cold offices'],
          ['Roll-Neck', 85, 'wind from the sea'],
          ['Slipover', 65, 'layers'],
        ],
        materials: [
          ['Lambswool', 1],
          ['Merino', 1.2],
          ['Cashmere', 2.2],
          ['Cotton', 0.8],
          ['Alpaca', 1.5],
        ],
        variants: clothing,
      },
    ],
    remarks: [
      'Knitted in one piece.',
      'Wash by hand or at the cleaner’s.',
      'A length of yarn for mending is included.',
    ],
  },
  {
    slug: 'shoes',
    name: 'Shoes',
    code: 'SHO',
    ranges: [
      {
        things: [
          ['Ankle Boot', 149, 'autumn streets'],
          ['Trainer', 95, 'walking to work'],
          ['Loafer', 119, 'taking off at the door'],
          ['Sandal', 69, 'hot pavements'],
          ['Slipper', 45, 'stone floors'],
        ],
        materials: [
          ['Leather', 1.2],
          ['Suede', 1.1],
          ['Canvas', 0.7],
          ['Wool Felt', 0.8],
        ],
        variants: ['Black', 'Tan', 'Slate', 'Chalk'].flatMap((colour) =>
          Array.from({ length: 12 }, (_, index) => `${colour}, ${36 + index}`),
        ),
      },
    ],
    remarks: ['The sole can be replaced.', 'Half sizes: take the larger one.', 'Comes with a second pair of laces.'],
  },
  {
    slug: 'bags',
    name: 'Bags',
    code: 'BAG',
    ranges: [
      {
        things: [
          ['Backpack', 99, 'a laptop, lunch and an umbrella'],
          ['Tote Bag', 29, 'the market'],
          ['Weekend Bag', 139, 'two nights away'],
          ['Shoulder Bag', 85, 'what must be at hand'],
          ['Wallet', 39, 'eight cards and some coins'],
          ['Wash Bag', 32, 'short trips'],
        ],
        materials: [
          ['Canvas', 0.8],
          ['Leather', 1.6],
          ['Waxed Cotton', 1.1],
          ['Recycled Nylon', 0.9],
          ['Felt', 0.75],
        ],
        variants: colours,
      },
    ],
    remarks: ['The zips run smoothly and can be replaced.', 'Keeps off a shower.', 'An inner pocket holds keys.'],
  },
  {
    slug: 'camping',
    name: 'Camping',
    code: 'CAM',
    ranges: [
      {
        things: [
          ['Flask', 32, 'hot tea at the summit'],
          ['Camp Mug', 19, 'soup, coffee and brushing teeth'],
          ['Water Bottle', 27, 'camps away from the tap'],
          ['Food Jar', 24, 'lunch on the move'],
        ],
        materials: [...metals.slice(0, 2), ['Titanium', 2.1], ['Enamel', 0.8]],
        variants: flasks,
      },
      {
        things: [
          ['Sleeping Bag', 129, 'nights a little above freezing'],
          ['Hammock', 69, 'two trees and an afternoon'],
          ['Picnic Rug', 45, 'damp meadows'],
          ['Tarp', 79, 'rain that was not forecast'],
        ],
        materials: [...fabrics.slice(0, 2), ['Ripstop Nylon', 1.2], ['Recycled Polyester', 0.9]],
        variants: colours,
      },
    ],
    remarks: ['Packs into its own pouch.', 'Repair patches are included.', 'Tested in the rain, not only in the lab.'],
  },
  {
    slug: 'cycling',
    name: 'Cycling',
    code: 'CYC',
    ranges: [
      {
        things: [
          ['Bell', 15, 'being heard without shouting'],
          ['Mudguard Set', 35, 'commutes in November'],
          ['Chain Guard', 29, 'clean trousers'],
          ['Kickstand', 25, 'bicycles that fall over'],
          ['Bottle Cage', 14, 'rough roads'],
          ['Front Rack', 59, 'a crate and a parcel'],
        ],
        materials: [...metals, ['Stainless Steel', 1.2]],
        variants: colours,
      },
      {
        things: [
          ['Pannier', 75, 'a week of groceries'],
          ['Saddle', 85, 'long rides'],
          ['Handlebar Grip', 22, 'wet hands'],
          ['Tool Roll', 32, 'punctures far from home'],
          ['Saddle Bag', 39, 'a spare tube and a banana'],
        ],
        materials: [
          ['Leather', 1.4],
          ['Waxed Cotton', 1],
          ['Recycled Nylon', 0.8],
          ['Canvas', 0.9],
        ],
        variants: colours,
      },
    ],
    remarks: ['Fits most frames.', 'Mounting parts are included.', 'Stainless screws throughout.'],
  },
  {
    slug: 'fitness',
    name: 'Fitness',
    code: 'FIT',
    ranges: [
      {
        things: [
          ['Exercise Mat', 39, 'hard floors'],
          ['Yoga Block', 15, 'stiff hips'],
          ['Massage Roller', 25, 'the day after'],
          ['Skipping Rope', 17, 'ten minutes between calls'],
          ['Balance Board', 65, 'standing desks'],
          ['Resistance Band', 12, 'hotel rooms'],
        ],
        materials: [
          ['Cork', 1.2],
          ['Natural Rubber', 1],
          ['Jute', 0.9],
          ['Beech', 1.3],
          ['Recycled Foam', 0.8],
        ],
        variants: colours,
      },
    ],
    remarks: ['Wipes clean.', 'Does not slip when it gets warm.', 'A booklet of exercises is included.'],
  },
  {
    slug: 'toys',
    name: 'Toys',
    code: 'TOY',
    ranges: [
      {
        things: [
          ['Building Blocks', 35, 'towers, bridges and their collapse'],
          ['Train Set', 59, 'the whole floor'],
          ['Puzzle', 19, 'rainy afternoons'],
          ['Pull-Along Duck', 24, 'first steps'],
          ['Spinning Top', 9, 'competitions under the table'],
          ['Memory Game', 16, 'children who beat their parents'],
          ['Marble Run', 49, 'young engineers'],
        ],
        materials: woods,
        variants: colours,
      },
    ],
    remarks: ['From three years on.', 'Painted with water-based colours.', 'Lost pieces can be ordered singly.'],
  },
  {
    slug: 'office',
    name: 'Office',
    code: 'OFF',
    ranges: [
      {
        things: [
          ['Pen Pot', 14, 'pens that wander off'],
          ['Pen', 19, 'signatures'],
          ['Desk Tray', 29, 'the paper that is left'],
          ['Bookend', 27, 'shelves that are half full'],
          ['Laptop Stand', 55, 'a straight neck'],
          ['Card Holder', 22, 'conferences'],
          ['Letter Opener', 12, 'good news and bad'],
        ],
        materials: [...metals.slice(0, 3), ['Leather', 1.5], ['Cork', 0.8], ['Walnut', 1.3]],
        variants: colours,
      },
    ],
    remarks: ['Comes with felt feet.', 'Comes in a box that can be given away as it is.', 'Made to be repaired.'],
  },
  {
    slug: 'pets',
    name: 'Pets',
    code: 'PET',
    ranges: [
      {
        things: [
          ['Dog Bed', 69, 'circling three times and lying down'],
          ['Cat Cushion', 35, 'the sunny end of the sofa'],
          ['Lead', 25, 'walks in the dark'],
          ['Collar', 19, 'everyday wear'],
          ['Travel Blanket', 39, 'clean car seats'],
          ['Treat Pouch', 16, 'training'],
        ],
        materials: [...fabrics, ['Leather', 1.5], ['Recycled Polyester', 0.8]],
        variants: ['Small', 'Medium', 'Large'].flatMap((size) => colours.map((colour) => `${colour}, ${size}`)),
      },
    ],
    remarks: [
      'The cover comes off for washing.',
      'Chewing is not covered by the guarantee.',
      'Buckles are nickel-free.',
    ],
  },
]

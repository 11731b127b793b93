/**
 * These mappings are based on Open Source Information, We have tried to keep it as accurate as possible.
 * If you find any discrepancies, please open an issue on the GitHub repository: https://github.com/rudderlabs/rudder-libraries.
 */

// == iPhone ==
const iPhone = {
  'iPhone1,1': 'iPhone 1',
  'iPhone1,2': 'iPhone 3G',
  'iPhone2,1': 'iPhone 3GS',
  'iPhone3,1': 'iPhone 4',
  'iPhone3,2': 'iPhone 4',
  'iPhone3,3': 'iPhone 4',
  'iPhone4,1': 'iPhone 4S',
  'iPhone5,1': 'iPhone 5',
  'iPhone5,2': 'iPhone 5',
  'iPhone5,3': 'iPhone 5c',
  'iPhone5,4': 'iPhone 5c',
  'iPhone6,1': 'iPhone 5s',
  'iPhone6,2': 'iPhone 5s',
  'iPhone7,1': 'iPhone 6 Plus',
  'iPhone7,2': 'iPhone 6',
  'iPhone8,1': 'iPhone 6s',
  'iPhone8,2': 'iPhone 6s Plus',
  'iPhone9,1': 'iPhone 7',
  'iPhone9,2': 'iPhone 7 Plus',
  'iPhone9,3': 'iPhone 7',
  'iPhone9,4': 'iPhone 7 Plus',
  'iPhone10,1': 'iPhone 8',
  'iPhone10,4': 'iPhone 8',
  'iPhone10,2': 'iPhone 8 Plus',
  'iPhone10,5': 'iPhone 8 Plus',
  'iPhone10,3': 'iPhone X',
  'iPhone10,6': 'iPhone X',
  'iPhone11,2': 'iPhone XS',
  'iPhone11,4': 'iPhone XS Max',
  'iPhone11,6': 'iPhone XS Max',
  'iPhone11,8': 'iPhone XR',
  'iPhone12,1': 'iPhone 11',
  'iPhone12,3': 'iPhone 11 Pro',
  'iPhone12,5': 'iPhone 11 Pro Max',
  'iPhone13,1': 'iPhone 12 Mini',
  'iPhone13,2': 'iPhone 12',
  'iPhone13,3': 'iPhone 12 Pro',
  'iPhone13,4': 'iPhone 12 Pro Max',
  'iPhone14,4': 'iPhone 13 Mini',
  'iPhone14,5': 'iPhone 13',
  'iPhone14,2': 'iPhone 13 Pro',
  'iPhone14,3': 'iPhone 13 Pro Max',
  'iPhone14,7': 'iPhone 14',
  'iPhone14,8': 'iPhone 14 Plus',
  'iPhone15,2': 'iPhone 14 Pro',
  'iPhone15,3': 'iPhone 14 Pro Max',
  'iPhone15,4': 'iPhone 15',
  'iPhone15,5': 'iPhone 15 Plus',
  'iPhone16,1': 'iPhone 15 Pro',
  'iPhone16,2': 'iPhone 15 Pro Max',
  'iPhone8,4': 'iPhone SE',
  'iPhone12,8': 'iPhone SE 2',
  'iPhone14,6': 'iPhone SE 3',
};

// == iPod ==
const iPod = {
  'iPod1,1': 'iPod Touch 1G',
  'iPod2,1': 'iPod Touch 2G',
  'iPod3,1': 'iPod Touch 3G',
  'iPod4,1': 'iPod Touch 4G',
  'iPod5,1': 'iPod Touch 5G',
  'iPod7,1': 'iPod Touch 6G',
  'iPod9,1': 'iPod Touch 7G',
};

// == iPad ==
const iPad = {
  'iPad1,1': 'iPad 1',
  'iPad2,1': 'iPad 2',
  'iPad2,2': 'iPad 2',
  'iPad2,3': 'iPad 2',
  'iPad2,4': 'iPad 2',
  'iPad3,1': 'iPad 3',
  'iPad3,2': 'iPad 3',
  'iPad3,3': 'iPad 3',
  'iPad3,4': 'iPad 4',
  'iPad3,5': 'iPad 4',
  'iPad3,6': 'iPad 4',
  'iPad6,11': 'iPad 5',
  'iPad6,12': 'iPad 5',
  'iPad7,5': 'iPad 6',
  'iPad7,6': 'iPad 6',
  'iPad7,11': 'iPad 7',
  'iPad7,12': 'iPad 7',
  'iPad11,6': 'iPad 8',
  'iPad11,7': 'iPad 8',
  'iPad12,1': 'iPad 9',
  'iPad12,2': 'iPad 9',
  'iPad13,18': 'iPad 10',
  'iPad13,19': 'iPad 10',
};

// == iPad Air ==
const iPadAir = {
  'iPad4,1': 'iPad Air',
  'iPad4,2': 'iPad Air',
  'iPad4,3': 'iPad Air',
  'iPad5,3': 'iPad Air 2',
  'iPad5,4': 'iPad Air 2',
  'iPad11,3': 'iPad Air 3',
  'iPad11,4': 'iPad Air 3',
  'iPad13,1': 'iPad Air 4',
  'iPad13,2': 'iPad Air 4',
  'iPad13,16': 'iPad Air 5',
  'iPad13,17': 'iPad Air 5',
};

// == iPad Pro ==
const iPadPro = {
  'iPad6,7': 'iPad Pro',
  'iPad6,8': 'iPad Pro',
  'iPad6,3': 'iPad Pro',
  'iPad6,4': 'iPad Pro',
  'iPad7,1': 'iPad Pro',
  'iPad7,2': 'iPad Pro',
  'iPad7,3': 'iPad Pro',
  'iPad7,4': 'iPad Pro',
  'iPad8,1': 'iPad Pro',
  'iPad8,2': 'iPad Pro',
  'iPad8,3': 'iPad Pro',
  'iPad8,4': 'iPad Pro',
  'iPad8,5': 'iPad Pro',
  'iPad8,6': 'iPad Pro',
  'iPad8,7': 'iPad Pro',
  'iPad8,8': 'iPad Pro',
  'iPad8,9': 'iPad Pro',
  'iPad8,10': 'iPad Pro',
  'iPad8,11': 'iPad Pro',
  'iPad8,12': 'iPad Pro',
  'iPad13,4': 'iPad Pro',
  'iPad13,5': 'iPad Pro',
  'iPad13,6': 'iPad Pro',
  'iPad13,7': 'iPad Pro',
  'iPad13,8': 'iPad Pro',
  'iPad13,9': 'iPad Pro',
  'iPad13,10': 'iPad Pro',
  'iPad13,11': 'iPad Pro',
  'iPad14,3': 'iPad Pro',
  'iPad14,4': 'iPad Pro',
  'iPad14,5': 'iPad Pro',
  'iPad14,6': 'iPad Pro',
};

// == iPad Mini ==
const iPadMini = {
  'iPad2,5': 'iPad Mini',
  'iPad2,6': 'iPad Mini',
  'iPad2,7': 'iPad Mini',
  'iPad4,4': 'iPad Mini 2',
  'iPad4,5': 'iPad Mini 2',
  'iPad4,6': 'iPad Mini 2',
  'iPad4,7': 'iPad Mini 3',
  'iPad4,8': 'iPad Mini 3',
  'iPad4,9': 'iPad Mini 3',
  'iPad5,1': 'iPad Mini 4',
  'iPad5,2': 'iPad Mini 4',
  'iPad11,1': 'iPad Mini 5',
  'iPad11,2': 'iPad Mini 5',
  'iPad14,1': 'iPad Mini 6',
  'iPad14,2': 'iPad Mini 6',
};

// == Apple Watch ==
const AppleWatch = {
  'Watch1,1': 'Apple Watch 38mm',
  'Watch1,2': 'Apple Watch 42mm',
  'Watch2,6': 'Apple Watch Series 1 38mm',
  'Watch2,7': 'Apple Watch Series 1 42mm',
  'Watch2,3': 'Apple Watch Series 2 38mm',
  'Watch2,4': 'Apple Watch Series 2 42mm',
  'Watch3,1': 'Apple Watch Series 3 38mm Cellular',
  'Watch3,2': 'Apple Watch Series 3 42mm Cellular',
  'Watch3,3': 'Apple Watch Series 3 38mm',
  'Watch3,4': 'Apple Watch Series 3 42mm',
  'Watch4,1': 'Apple Watch Series 4 40mm',
  'Watch4,2': 'Apple Watch Series 4 44mm',
  'Watch4,3': 'Apple Watch Series 4 40mm Cellular',
  'Watch4,4': 'Apple Watch Series 4 44mm Cellular',
  'Watch5,1': 'Apple Watch Series 5 40mm',
  'Watch5,2': 'Apple Watch Series 5 44mm',
  'Watch5,3': 'Apple Watch Series 5 40mm Cellular',
  'Watch5,4': 'Apple Watch Series 5 44mm Cellular',
  'Watch6,1': 'Apple Watch Series 6 40mm',
  'Watch6,2': 'Apple Watch Series 6 44mm',
  'Watch6,3': 'Apple Watch Series 6 40mm Cellular',
  'Watch6,4': 'Apple Watch Series 6 44mm Cellular',
  'Watch6,6': 'Apple Watch Series 7 41mm',
  'Watch6,7': 'Apple Watch Series 7 45mm',
  'Watch6,8': 'Apple Watch Series 7 41mm Cellular',
  'Watch6,9': 'Apple Watch Series 7 45mm Cellular',
  'Watch6,14': 'Apple Watch Series 8 41mm',
  'Watch6,15': 'Apple Watch Series 8 45mm',
  'Watch6,16': 'Apple Watch Series 8 41mm Cellular',
  'Watch6,17': 'Apple Watch Series 8 45mm Cellular',
  'Watch7,1': 'Apple Watch Series 9 41mm',
  'Watch7,2': 'Apple Watch Series 9 45mm',
  'Watch7,3': 'Apple Watch Series 9 41mm Cellular',
  'Watch7,4': 'Apple Watch Series 9 45mm Cellular',
  'Watch6,18': 'Apple Watch Ultra',
  'Watch7,5': 'Apple Watch Ultra 2',
  'Watch5,9': 'Apple Watch SE 40mm ',
  'Watch5,10': 'Apple Watch SE 44mm',
  'Watch5,11': 'Apple Watch SE 40mm Cellular',
  'Watch5,12': 'Apple Watch SE 44mm Cellular',
  'Watch6,10': 'Apple Watch SE 2 40mm ',
  'Watch6,11': 'Apple Watch SE 2 44mm',
  'Watch6,12': 'Apple Watch SE 2 40mm Cellular',
  'Watch6,13': 'Apple Watch SE 2 44mm Cellular',
};

// == Apple TV ==
const AppleTV = {
  'AppleTV1,1': 'Apple TV 1',
  'AppleTV2,1': 'Apple TV 2',
  'AppleTV3,1': 'Apple TV 3',
  'AppleTV3,2': 'Apple TV 3',
  'AppleTV5,3': 'Apple TV 4',
  'AppleTV6,2': 'Apple TV 4K 1',
  'AppleTV11,1': 'Apple TV 4K 2',
  'AppleTV14,1': 'Apple TV 4K 3',
};

// == Others ==
const Others = {
  i386: 'Simulator',
  x86_64: 'Simulator',
  arm64: 'Simulator',
  MacBookAir: 'MacBook Air',
  MacBookPro: 'MacBook Pro',
  MacBook: 'MacBook',
  MacPro: 'Mac Pro',
  Macmini: 'Mac Mini',
  iMac: 'iMac',
  Xserve: 'Xserve',
};

function getDeviceModel(deviceModel) {
  if (iPhone[deviceModel]) return iPhone[deviceModel];
  if (iPod[deviceModel]) return iPod[deviceModel];
  if (iPad[deviceModel]) return iPad[deviceModel];
  if (iPadAir[deviceModel]) return iPadAir[deviceModel];
  if (iPadPro[deviceModel]) return iPadPro[deviceModel];
  if (iPadMini[deviceModel]) return iPadMini[deviceModel];
  if (AppleWatch[deviceModel]) return AppleWatch[deviceModel];
  if (AppleTV[deviceModel]) return AppleTV[deviceModel];
  if (Others[deviceModel]) return Others[deviceModel];
  return deviceModel;
}

function isAppleFamily(platform) {
  const appleOsNames = ['ios', 'watchos', 'ipados', 'tvos'];
  if (typeof platform === 'string') {
    return appleOsNames.includes(platform.trim().toLowerCase());
  }
  return false;
}

export function getLocalizedDeviceModel(event) {
  const devicePlatform = event?.context?.os?.name;
  const currentDeviceModel = event?.context?.device?.model;
  if (!devicePlatform || !currentDeviceModel || !isAppleFamily(devicePlatform)) {
    return;
  }
  return getDeviceModel(currentDeviceModel);
}
